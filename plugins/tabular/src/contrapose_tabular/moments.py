"""The mean and standard deviation of numbers that come in parts."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray


class Moments:
    """Count, mean, sum of squared deviations, and range of all numbers that were added, in memory of one part.

    Parts are merged as in Chan, Golub and LeVeque, Updating Formulae and a Pairwise Algorithm for Computing Sample Variances,
    1979: no difference of large sums.
    """

    def __init__(self) -> None:
        self.count, self.mean, self.squares = 0, 0.0, 0.0
        self.low, self.high = math.inf, -math.inf

    def add(self, numbers: NDArray[np.float64]) -> None:
        """Add numbers (n,)."""
        if not (count := len(numbers)):
            return
        with np.errstate(over="ignore", invalid="ignore"):
            mean = float(numbers.mean())
            total, step = self.count + count, mean - self.mean
            self.squares += float(np.square(numbers - mean).sum())
            self.squares += float(np.square(step)) * (self.count * count / total)
            self.mean += step * (count / total)
        self.count = total
        self.low, self.high = min(self.low, float(numbers.min())), max(self.high, float(numbers.max()))

    @property
    def std(self) -> float:
        """The standard deviation (of the population); 1 where all numbers are alike."""
        return math.sqrt(self.squares / self.count) if self.high > self.low else 1.0
