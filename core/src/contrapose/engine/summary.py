"""What a training ended with: of each term, its loss, retrieval within the batch and temperature, over the last epoch."""

from __future__ import annotations

import numpy as np
from rich.table import Table

from .metrics import Metrics

SHOWN = {"loss": "loss", "top1": "R@1 in batch", "tau": "temperature"}


def summary(metrics: Metrics) -> Table:
    """A row a term: the means over the steps of the last epoch, leaving out steps that had no such number."""
    last = metrics.epochs == metrics.epochs[-1]
    found = {kind: {t: v[last] for t, v in metrics.family(kind).items()} for kind in SHOWN}
    kinds = [kind for kind, terms in found.items() if terms]
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for name in ("last epoch", *(SHOWN[kind] for kind in kinds)):
        table.add_column(name, justify="left" if name == "last epoch" else "right")
    for term in found["loss"]:
        table.add_row(term, *(_shown(kind, found[kind].get(term)) for kind in kinds))
    return table


def _shown(kind: str, values: np.ndarray | None) -> str:
    if values is None or np.isnan(values).all():
        return "–"
    mean = float(np.nanmean(values))
    return f"{100 * mean:.1f} %" if kind == "top1" else f"{mean:.4f}"
