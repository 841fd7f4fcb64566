"""What a training ended with: of each term, its loss, retrieval within the batch and temperature, over the last epoch."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.table import Table

COLUMNS = {"loss": "loss", "top1": "R@1 in batch", "tau": "temperature"}


def last_epoch(metrics: Path) -> dict[str, dict[str, float]]:
    """By term, the means of its ``loss``, ``top1`` and ``tau`` over the steps of the last epoch in ``metrics.csv``."""
    with open(metrics, newline="") as f:
        rows = list(csv.DictReader(f))
    last = [row for row in rows if row["epoch"] == rows[-1]["epoch"]]
    terms: dict[str, dict[str, float]] = {}
    for name in last[0]:
        kind, _, term = name.partition("/")
        if kind in COLUMNS and term:
            terms.setdefault(term, {})[kind] = _mean([row[name] for row in last])
    return terms


def summary(terms: Mapping[str, Mapping[str, float]]) -> Table:
    """The same as a table."""
    shown = [kind for kind in COLUMNS if any(kind in found for found in terms.values())]
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("last epoch")
    for kind in shown:
        table.add_column(COLUMNS[kind], justify="right")
    for term, found in terms.items():
        table.add_row(term, *(_shown(kind, found.get(kind, math.nan)) for kind in shown))
    return table


def _mean(values: Sequence[str]) -> float:
    numbers = [float(v) for v in values if v and not math.isnan(float(v))]
    return sum(numbers) / len(numbers) if numbers else math.nan


def _shown(kind: str, value: float) -> str:
    if math.isnan(value):
        return "–"
    return f"{100 * value:.1f} %" if kind == "top1" else f"{value:.4f}"
