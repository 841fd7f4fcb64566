"""What an evaluator is given, and what it gives back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from torch import Tensor

from contrapose.evaluate.bootstrap import Statistic

Head = Literal["projected", "pooled"]


@dataclass(frozen=True)
class Table:
    """One modality's embeddings of a split.

    ``z`` (n, D) float32 on the CPU; ``ids`` (n,) int64, the samples, ascending; ``labels`` (n,) with NaN where unknown,
    None without a label column; ``groups`` (n,): rows of one value belong together, and a sample without a group is one
    of its own; None without a group column.
    """

    z: Tensor
    ids: np.ndarray
    labels: np.ndarray | None = None
    groups: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, rows: np.ndarray) -> Table:
        """The rows at these positions, or where this mask holds."""
        where = np.flatnonzero(rows) if rows.dtype == bool else rows
        labels = None if self.labels is None else self.labels[where]
        return Table(self.z[where], self.ids[where], labels, None if self.groups is None else self.groups[where])


class Embedded:
    """A model's embeddings, made when an evaluator first asks for them.

    ``split`` is the one to score; a classifier learns from ``"train"`` and from nothing else. ``seed`` is for whatever
    an evaluator draws.
    """

    def __init__(self, embed: Callable[[str, Head], Mapping[str, Table]], split: str = "test", seed: int = 0) -> None:
        self.split, self.seed = split, seed
        self._embed = embed
        self._made: dict[tuple[str, Head], Mapping[str, Table]] = {}
        self.unmeasured: dict[tuple[str, str], str] = {}
        """Why evaluators that were asked couldn't score, by (metric, of)."""

    def tables(self, split: str, head: Head) -> Mapping[str, Table]:
        """By modality: its ``projected`` rows (what the loss compares) or ``pooled`` (the encoder's own features)."""
        key = (split, head)
        if key not in self._made:
            self._made[key] = self._embed(split, head)
        return self._made[key]

    @property
    def sizes(self) -> dict[str, dict[str, int]]:
        """Rows that were embedded, by split and modality."""
        return {split: {m: len(t) for m, t in tables.items()} for (split, _), tables in self._made.items()}


@dataclass(frozen=True)
class Score:
    """One number that an evaluator found.

    ``values`` is the number itself, or one per query, whose ``statistic`` is the number; then ``queries`` says which
    rows these are, and the number gets a bootstrap interval over their groups. ``of`` is a modality, ``"a → b"`` or
    ``"a – b"``. ``chance`` is what knowing nothing scores; ``better`` the direction of improvement, None without one;
    ``percent`` shows the number times 100.
    """

    metric: str
    of: str
    values: np.ndarray | float
    queries: Table | None = None
    statistic: Statistic = "mean"
    chance: float | None = None
    better: Literal["high", "low"] | None = "high"
    percent: bool = False
    note: str = ""

    @property
    def value(self) -> float:
        """The number."""
        return float(np.mean(self.values) if self.statistic == "mean" else np.median(self.values))


Evaluator = Callable[[Embedded], list[Score]]
"""What a plugin registers under the kind ``evaluator``."""
