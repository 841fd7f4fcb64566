"""``metrics.csv`` as series over steps."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from contrapose.errors import CheckpointError

PLACE = ("step", "epoch")
"""Columns that say where a row belongs; the others are what was measured there."""


@dataclass(frozen=True)
class Metrics:
    """``steps`` and ``epochs`` (n,) int64, and by column name its ``values`` (n,) float64, NaN where nothing was measured."""

    steps: np.ndarray
    epochs: np.ndarray
    values: dict[str, np.ndarray]

    def __len__(self) -> int:
        return len(self.steps)

    def family(self, prefix: str) -> dict[str, np.ndarray]:
        """The columns ``prefix/<name>`` by name, in the file's order."""
        return {n.removeprefix(f"{prefix}/"): v for n, v in self.values.items() if n.startswith(f"{prefix}/")}

    def families(self) -> list[str]:
        """What there is a column of: each name, or what stands before its ``/``, once."""
        return list(dict.fromkeys(n.partition("/")[0] for n in self.values))

    def losses(self) -> dict[str, np.ndarray]:
        """The whole loss as ``loss``, and its terms where they are several: a single one is the loss."""
        terms = self.family("loss")
        whole = {"loss": self.values["loss"]} if "loss" in self.values else {}
        shown = whole | terms if len(terms) > 1 or not whole else whole
        return {name: values for name, values in shown.items() if np.isfinite(values).any()}


def read_metrics(path: Path) -> Metrics:
    """Read the file, without its columns of empty cells alone; a file that isn't there has no rows.

    A last line that a killed run didn't end is left out. Raises ``CheckpointError`` where it is no such file.
    """
    try:
        return _read(path)
    except (ValueError, TypeError, OverflowError, csv.Error) as error:
        raise CheckpointError(f"{path} is damaged: {error}") from None


def _read(path: Path) -> Metrics:
    table: list[dict[str, str]] = []
    if path.exists():
        text = path.read_text(encoding="utf-8")
        table = list(csv.DictReader(io.StringIO(text[: text.rfind("\n") + 1])))
    names = [n for n in (table[0] if table else {}) if n not in PLACE and any(row[n] for row in table)]
    steps, epochs = (np.array([int(row.get(n, 0)) for row in table], np.int64) for n in PLACE)
    return Metrics(steps, epochs, {n: np.array([_number(row[n]) for row in table]) for n in names})


def _number(cell: str) -> float:
    try:
        return float(cell)
    except ValueError:
        return float("nan")
