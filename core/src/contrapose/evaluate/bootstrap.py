"""Intervals by resampling groups, since things of one group (a library, a subject) aren't independent."""

from __future__ import annotations

from typing import Literal

import numpy as np

Statistic = Literal["mean", "median"]
_CELLS = 4_000_000  # of the largest temporary array: some 32 MB


def resample(
    values: np.ndarray, groups: np.ndarray, statistic: Statistic = "mean", draws: int = 2000, seed: int = 0
) -> np.ndarray:
    """The ``statistic`` of each row of ``values`` (m, n) in ``draws`` cluster-bootstrap samples: (m, draws) float64.

    Each draw takes as many groups as there are, with replacement, and all queries of each; ``groups`` (n,) says whose
    each query is. The m rows share the draws, so that differences between two of them are *paired*: query by query.
    """
    _, member = np.unique(groups, return_inverse=True)
    number = int(member.max()) + 1
    rng = np.random.default_rng(seed)
    width = len(member) if statistic == "median" else number
    block = max(1, _CELLS // max(width, number))
    parts = []
    for start in range(0, draws, block):
        taken = rng.multinomial(number, np.full(number, 1 / number), size=min(block, draws - start)).astype(np.float64)
        if statistic == "mean":
            sums = np.stack([np.bincount(member, weights=row, minlength=number) for row in values])
            parts.append((sums @ taken.T) / (taken @ np.bincount(member, minlength=number)))
        else:
            parts.append(np.stack([_weighted_median(row, taken[:, member]) for row in values]))
    return np.concatenate(parts, axis=1)


def interval(samples: np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """The central percentile interval of bootstrap ``samples`` (draws,)."""
    tail = 100 * (1 - level) / 2
    low, high = np.percentile(samples, [tail, 100 - tail])
    return float(low), float(high)


def _weighted_median(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The median (draws,) of ``values`` (n,), each repeated as often as ``weights`` (draws, n) says."""
    order = np.argsort(values, kind="stable")
    ordered, reach = values[order], np.cumsum(weights[:, order], axis=1)
    half = reach[:, -1:] / 2
    lower = np.argmax(reach >= half, axis=1)
    upper = np.argmax(reach > half, axis=1)
    return (ordered[lower] + ordered[upper]) / 2
