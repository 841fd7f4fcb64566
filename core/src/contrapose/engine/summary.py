"""What a training ended with: of each term, its loss, retrieval within the batch and temperature, over the last epoch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from rich.table import Table

from .metrics import Metrics

if TYPE_CHECKING:
    from contrapose.methods.method import Method
    from contrapose.methods.term import BoundTerm

SHOWN = {
    "loss": "loss",
    "top1": "R@1 in batch",
    "gap": "gap",
    "tau": "temperature",
    "weight": "weight",
    "samples": "samples",
}
"""By family of columns. A term that goes both ways shows the retrieval of each, in the order of its query."""

DIGITS = {"gap": 3, "samples": 1, "weight": 2}


def summary(metrics: Metrics, method: Method | None = None) -> Table:
    """A row a term: the means over the steps of the last epoch, leaving out steps that had no such number.

    ``method`` tells what is fixed, and so in no step's metrics: temperatures and weights, where it is of several modalities.
    """
    last = metrics.epochs == metrics.epochs[-1]
    found = {kind: {t: _mean(v[last]) for t, v in metrics.family(kind).items()} for kind in (*SHOWN, "top1_from")}
    for name, term in cast("Mapping[str, BoundTerm]", {} if method is None else dict(method.terms.items())).items():
        if term.several:
            for kind, value in (("tau", term.tau), ("weight", term.weight)):
                if isinstance(value, int | float):
                    found[kind].setdefault(name, float(value))
    if all(value == 1 for value in found["weight"].values()):
        found["weight"] = {}
    kinds = [kind for kind in SHOWN if found[kind]]
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for name in ("last epoch", *(SHOWN[kind] for kind in kinds)):
        table.add_column(name, justify="left" if name == "last epoch" else "right")
    for name in found["loss"]:
        both = [share for way, share in found["top1_from"].items() if way.rpartition("/")[0] == name]
        cells: dict[str, Any] = {kind: _shown(kind, [found[kind].get(name)]) for kind in kinds}
        if both:
            cells["top1"] = _shown("top1", both)
        table.add_row(name, *cells.values())
    return table


def _mean(values: np.ndarray) -> float | None:
    return None if np.isnan(values).all() else float(np.nanmean(values))


def _shown(kind: str, values: list[float | None]) -> str:
    if kind == "top1" and any(v is not None for v in values):
        return f"{' / '.join('–' if v is None else f'{100 * v:.1f}' for v in values)} %"
    (value,) = values[:1]
    return "–" if value is None else f"{value:.{DIGITS.get(kind, 4)}f}"
