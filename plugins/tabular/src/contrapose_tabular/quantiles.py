"""The quantiles of numbers that come in parts."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

BINS = 48
"""Into which a column's quantiles divide it, as many as Gorishniy et al. (2022) take by default."""
MOST = 2**16
"""So many numbers at most are kept."""


class Quantiles:
    """Of all numbers that were added, exact for up to ``MOST``; beyond, of every second, fourth, ... number in their order."""

    def __init__(self) -> None:
        self._kept: list[NDArray[np.float64]] = []
        self._step, self._seen = 1, 0
        self._low, self._high = np.inf, -np.inf

    def add(self, numbers: NDArray[np.float64]) -> None:
        """Add numbers (n,)."""
        if not len(numbers):
            return
        self._low, self._high = min(self._low, numbers.min()), max(self._high, numbers.max())
        self._kept.append(numbers[-self._seen % self._step :: self._step])
        self._seen += len(numbers)
        while sum(map(len, self._kept)) > MOST:
            self._kept = [np.concatenate(self._kept)[::2]]
            self._step *= 2

    def edges(self) -> NDArray[np.float64]:
        """(``BINS`` + 1,) numbers, from the least of all to the largest."""
        found = np.quantile(np.concatenate(self._kept), np.linspace(0, 1, BINS + 1))
        found[0], found[-1] = self._low, self._high
        return found
