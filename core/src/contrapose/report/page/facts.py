"""The run in words: its head, what it skipped, its config, and how to make it again."""

from __future__ import annotations

import platform
import re
import shlex
from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from contrapose.errors import ContraposeError
from contrapose.report.page.markup import Html, counted, join, table, tag
from contrapose.report.page.material import Material

SKIPPED_SHOWN = 100


def facts(material: Material) -> Html:
    """A list of what the run is."""
    run, train = material.run.config.run, material.train
    done = int(material.metrics.steps[-1]) if len(material.metrics) else 0
    planned = f" of {material.planned:,}" if material.planned and material.planned != done else ""
    processes = int(material.state.get("processes", 1))
    epochs = int(material.metrics.epochs[-1]) + 1 if done else 0
    said: dict[str, Any] = {
        "Method": _method(run.method, run.recipe, _terms(material)),
        "Modalities": join_lines(_modalities(material)),
        "Data": join_lines(
            [_data(run.data), *(f"{name}: {counted(len(part), 'sample')}" for name, part in material.splits.items())]
        ),
        "Training": join_lines(
            [
                f"{done:,}{planned} steps, {counted(epochs, 'epoch')}",
                f"batch {train.batch_size}, {_use(train.optimizer)}, lr {train.lr:g}",
                f"{train.precision}, seed {train.seed}" + (f", {processes} processes" if processes > 1 else ""),
            ]
        ),
        "Versions": join_lines(_versions(material.state.get("versions", {}))),
        "Report": join_lines(
            [f"made {datetime.now():%Y-%m-%d %H:%M}", f"on the {material.split} split" if material.split else ""]
        ),
    }
    return tag("dl", *(tag("div", tag("dt", k), tag("dd", v)) for k, v in said.items()), class_="facts")


def join_lines(lines: list[str]) -> Html:
    """Lines under one another."""
    return join(tag("div", line) for line in lines if line)


def skipped(material: Material) -> list[Html]:
    """How many items by modality and reason, and the first of them."""
    counts = Counter((modality, reason) for _, modality, reason in material.skipped)
    modalities = Counter(modality for _, modality, _ in material.skipped)
    said = ", ".join(f"{modality} {count:,}" for modality, count in modalities.most_common())
    parts = [tag("p", f"By modality: {said}.")]
    if len(counts) < len(material.skipped):  # else every reason is its own, and the list says it
        rows = [(f"{count:,}", modality, reason) for (modality, reason), count in counts.most_common(20)]
        parts.append(table(("items", "modality", "reason"), rows, class_="plain"))
    shown = material.skipped[:SKIPPED_SHOWN]
    parts.append(table(("sample", "modality", "reason"), shown, class_="plain"))
    if len(material.skipped) > len(shown):
        parts.append(tag("p", f"… and {len(material.skipped) - len(shown):,} more in skipped.csv.", class_="faint"))
    return parts


def config(folder: Path) -> Html:
    """``config.yaml`` as it stands, its keys marked."""
    text = (folder / "config.yaml").read_text(encoding="utf-8")
    return tag("pre", *(_yaml_line(line) for line in text.splitlines(keepends=True)), class_="yaml")


def commands(material: Material) -> Html:
    """How to make the run, its numbers and this page again."""
    folder = shlex.quote(str(material.run.dir))
    again = shlex.quote(f"{material.run.dir}-again")
    lines = [
        f"contrapose train {shlex.quote(str(material.run.dir / 'config.yaml'))} --out {again}",
        f"contrapose evaluate {folder}"
        + (f" --split {shlex.quote(material.split)}" if material.split not in ("", "test") else ""),
        f"contrapose report {folder}",
    ]
    return tag("pre", "\n".join(lines), class_="commands")


def _yaml_line(line: str) -> Html:
    """A line whose key, where it starts with one, is marked."""
    match = re.match(r"([\s-]*)([^\s:#'\"{\[][^:#'\"{\[]*:)(?=\s|$)", line)
    if match is None:
        return join([line])
    return join([match[1], tag("i", match[2]), line[match.end() :]])


def _method(method: Any, recipe: str | None, terms: Mapping[str, Any]) -> Html:
    name = method if isinstance(method, str) else method.get("use") if isinstance(method, Mapping) else None
    lines = [str(name or recipe or "of its own")]
    return join_lines([*lines, f"terms: {', '.join(terms)}" if terms else ""])


def _terms(material: Material) -> Mapping[str, Any]:
    try:
        terms: Mapping[str, Any] = material.run.parts.recipe.get("terms", {})
    except ContraposeError:
        return {}
    return terms


def _modalities(material: Material) -> list[str]:
    encoders = material.run.config.run.encoders
    sizes: dict[str, int] = {}
    if material.embedded is not None:
        sizes = {m: sum(p.numel() for p in e.parameters()) for m, e in material.run.method.encoders.items()}
    lines = []
    for modality in material.run.parts.columns:
        made = [_use(encoders[modality])] if modality in encoders else []
        made += [f"{_short(sizes[modality])} parameters"] if modality in sizes else []
        lines.append(f"{modality}: {', '.join(made)}" if made else modality)
    return lines


def _short(count: int) -> str:
    """To two digits: ``21 k``, ``1.3 M``."""
    return f"{count / 1e6:.1f} M" if count >= 1e6 else f"{count / 1e3:.0f} k" if count >= 1e3 else str(count)


def _use(node: Any) -> str:
    if isinstance(node, Mapping):
        return str(node.get("use", "of its own"))
    return node if isinstance(node, str) else type(node).__name__


def _data(node: Any) -> str:
    if isinstance(node, Mapping) and isinstance(node.get("of"), Mapping):
        return ", ".join(node["of"])
    return Path(node).name if isinstance(node, (str, Path)) else _use(node)


def _versions(trained: Mapping[str, str]) -> list[str]:
    """Those that trained the run, and those that made the report where they differ."""
    here = {name: version(name) for name in (trained or ("contrapose", "torch"))} | {
        "python": platform.python_version()
    }
    lines = [", ".join(f"{name} {v}" for name, v in trained.items())] if trained else []
    if not trained or any(here[name] != v for name, v in trained.items()):
        lines.append("report: " + ", ".join(f"{name} {v}" for name, v in here.items()))
    return lines
