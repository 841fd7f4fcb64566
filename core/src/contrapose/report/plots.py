"""Plots: loss curves and embedding maps."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from contrapose.engine.metrics import read_metrics
from contrapose.report.canvas import COLOURS, FAINT, INK, Canvas, frame
from contrapose.report.preview import fit_text


def loss_curves(metrics: Path, path: Path) -> Path | None:
    """The losses of ``metrics.csv`` by step, in all and by term, beside the learning rate; None if there are none."""
    table = read_metrics(metrics)
    series = table.losses()
    if not series:
        return None
    canvas = Canvas(9, 3.6)
    figure = canvas.figure
    grid = figure.add_gridspec(1, 2, width_ratios=[3, 1], left=0.08, right=0.98, top=0.88, bottom=0.15, wspace=0.25)
    losses, rate = figure.add_subplot(grid[0]), figure.add_subplot(grid[1])
    for colour, (name, column) in zip(_colours(len(series)), series.items(), strict=True):
        steps, values = _measured(table.steps, column)
        span = max(1, len(values) // 50)
        if span > 1:
            losses.plot(steps, values, color=colour, alpha=0.25, linewidth=0.7)
        losses.plot(steps, _smooth(values, span), color=colour, label=name, linewidth=1.8 if name == "loss" else 1.2)
    if "lr" in table.values:
        rate.plot(*_measured(table.steps, table.values["lr"]), color=INK, linewidth=1.5)
    rate.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    for axes, name in ((losses, "loss"), (rate, "learning rate")):
        axes.set_title(name, loc="left", fontsize=10, color=INK, fontweight="bold")
        axes.set_xlabel("step", fontsize=8, color=FAINT)
        axes.xaxis.set_major_locator(MaxNLocator(4 if axes is rate else 7, steps=[1, 2, 5, 10], integer=True))
        axes.tick_params(labelsize=8, colors=FAINT)
        axes.grid(axis="y", color="#e7e9ed", linewidth=0.8)
        for side, spine in axes.spines.items():
            spine.set_visible(side == "bottom")
            spine.set_color("#c9cdd4")
    if len(series) > 1:
        losses.legend(fontsize=8, frameon=False, labelcolor=INK)
    return canvas.save(path)


def embedding_map(
    tables: Mapping[str, np.ndarray],
    labels: Mapping[str, np.ndarray] | None,
    path: Path,
    names: Mapping[float, str] | None = None,
    most: int = 2000,
    seed: int = 0,
) -> Path:
    """A 2-D t-SNE (PCA below 10 rows) of each modality's embeddings (n, D), coloured by its ``labels`` (n,).

    The nine commonest classes have a colour each, the others share one. More than ``most`` rows are thinned at random.
    """
    canvas = Canvas(max(3.6 * len(tables), 4.2), 4.6)
    figure = canvas.figure
    panels = figure.subplots(1, len(tables), squeeze=False)[0]
    shown = commonest(labels)
    figure.subplots_adjust(left=0.02, right=0.98, top=0.92, bottom=0.17 if shown else 0.03, wspace=0.05)
    for axes, (modality, z) in zip(panels, tables.items(), strict=True):
        rows = np.random.default_rng(seed).permutation(len(z))[:most]
        flat = flatten(z[rows], seed)
        colours = np.array([COLOURS[-1]] * len(rows), dtype=object)
        for colour, label in zip(COLOURS, shown, strict=False):
            if labels is not None:
                colours[labels[modality][rows] == label] = colour
        axes.scatter(*flat.T, c=list(colours), s=14, alpha=0.85, linewidths=0)
        axes.set(xticks=[], yticks=[])
        axes.set_title(fit_text(modality, 3.2, 0.2, 10), loc="left", fontsize=10, color=INK, fontweight="bold")
        frame(axes)
    _legend(figure, shown, names or {}, labels)
    return canvas.save(path)


def commonest(labels: Mapping[str, np.ndarray] | None) -> list[float]:
    """The classes that have a colour of their own, the commonest first: all of them, or nine where there are more than ten."""
    if not labels:
        return []
    found, counts = np.unique(np.concatenate(list(labels.values())), return_counts=True)
    known = ~np.isnan(found.astype(float))
    found, counts = found[known], counts[known]
    room = len(COLOURS) if len(found) <= len(COLOURS) else len(COLOURS) - 1
    return found[np.argsort(-counts, kind="stable")][:room].tolist()


def _legend(
    figure: Figure, shown: list[float], names: Mapping[float, str], labels: Mapping[str, np.ndarray] | None
) -> None:
    entries = [(names.get(label, f"{label:g}"), colour) for label, colour in zip(shown, COLOURS, strict=False)]
    if labels and any((~np.isin(values, shown)).any() for values in labels.values()):
        entries.append(("other", COLOURS[-1]))
    handles = [
        figure.axes[0].scatter([], [], color=colour, s=24, label=fit_text(n, 1.0, 0.2, 8)) for n, colour in entries
    ]
    if handles:
        columns = max(1, int(figure.get_size_inches()[0] / 1.25))
        figure.legend(handles=handles, loc="lower center", ncols=columns, fontsize=8, frameon=False, labelcolor=INK)


def flatten(z: np.ndarray, seed: int) -> np.ndarray:
    """Embeddings (n, D) in the plane (n, 2): t-SNE by cosine (van der Maaten & Hinton 2008), PCA below 10 rows."""
    from sklearn.manifold import TSNE

    if len(z) < 10:
        left, values, _ = np.linalg.svd(z - z.mean(axis=0), full_matrices=False)
        flat = (left * values)[:, :2]
        return np.pad(flat, ((0, 0), (0, 2 - flat.shape[1])))
    perplexity = min(30.0, (len(z) - 1) / 3)
    return TSNE(2, perplexity=perplexity, metric="cosine", init="random", random_state=seed).fit_transform(z)


def _measured(steps: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Steps and values of the rows that have one."""
    there = ~np.isnan(values)
    return steps[there], values[there]


def _smooth(values: np.ndarray, span: int) -> np.ndarray:
    """A centred running mean that keeps the length."""
    weights = np.ones(span)
    return np.convolve(values, weights, "same") / np.convolve(np.ones(len(values)), weights, "same")


def _colours(number: int) -> list[str]:
    return [INK, *(COLOURS[i % len(COLOURS)] for i in range(number - 1))]
