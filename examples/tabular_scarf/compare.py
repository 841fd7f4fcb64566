"""Whether one classifier is better than another: on a table, over splits that share rows, and over tables."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from scipy import stats

LEVEL = 0.05


def corrected_test(differences: Sequence[float], test_share: float) -> float:
    """Two-sided p of the corrected resampled t test (Nadeau & Bengio, Machine Learning 52, 2003) that the mean is 0.

    Random splits of one table share most of their rows, so the plain variance of the mean is too small: 1 / n becomes 1 / n plus
    rows tested over rows trained on (and validated: 0.2 of 0.8). ``differences`` is of the splits; 1 where they are all 0.
    """
    n, mean = len(differences), statistics.mean(differences)
    spread = statistics.stdev(differences)
    if spread == 0:
        return 1.0 if mean == 0 else 0.0
    t = mean / (spread * math.sqrt(1 / n + test_share / (1 - test_share)))
    return float(2 * stats.t.sf(abs(t), n - 1))


def holm(ps: Sequence[float]) -> list[float]:
    """p values corrected for their number (Holm 1979), in their order."""
    order = sorted(range(len(ps)), key=lambda i: ps[i])
    corrected, so_far = [0.0] * len(ps), 0.0
    for rank, i in enumerate(order):
        so_far = max(so_far, min(1.0, (len(ps) - rank) * ps[i]))
        corrected[i] = so_far
    return corrected


def wins(ours: Sequence[Sequence[float]], theirs: Sequence[Sequence[float]]) -> tuple[int, int]:
    """On how many tables ours is better, and on how many worse, each given by its accuracies over splits.

    As SCARF counts (section 4 of the paper): where Welch's t test tells the means apart at 0.05; the others are ties. It takes the
    splits for independent, so it counts more than ``corrected_test`` would.
    """
    won = lost = 0
    for a, b in zip(ours, theirs, strict=True):
        if statistics.pvariance(a) + statistics.pvariance(b) == 0:
            apart = a[0] != b[0]
        else:
            first, second = ((statistics.mean(of), statistics.stdev(of), len(of)) for of in (a, b))
            apart = stats.ttest_ind_from_stats(*first, *second, equal_var=False).pvalue < LEVEL
        won += apart and statistics.mean(a) > statistics.mean(b)
        lost += apart and statistics.mean(a) < statistics.mean(b)
    return won, lost


def over_tables(gains: Sequence[float]) -> float:
    """Two-sided p of Wilcoxon's signed-rank test that gains on many tables lie about 0."""
    return float(stats.wilcoxon(gains).pvalue)
