"""What one would measure of a shape by hand: 89 numbers of a cloud, for a random forest to be compared with."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import ConvexHull, QhullError

PAIRS, HULL = 4096, 512


def descriptors(cloud: NDArray[np.floating], area: float) -> NDArray[np.float64]:
    """Of a cloud (N, 3), y up, the farthest point at distance 1, whose surface is ``area``: float64 (89,), none with a size.

    Extents by axis and by length; area, and what hull and box make of it; moments of second and third order, by axis and by
    eigenvalue; histograms of distances between points (D2: Osada et al., Shape Distributions, 2002), from the middle, and
    along axes.
    """
    points = np.asarray(cloud, np.float64)
    extent = np.maximum(np.ptp(points, axis=0), 1e-6)
    centred = points - points.mean(axis=0)
    covariance = np.cov(centred.T)
    eigen = np.maximum(np.linalg.eigvalsh(covariance)[::-1], 1e-12)
    skew = (centred**3).mean(axis=0) / np.maximum(centred.std(axis=0), 1e-6) ** 3
    i, j = np.random.default_rng(0).integers(len(points), size=(2, PAIRS))
    between = np.linalg.norm(points[i] - points[j], axis=1)
    radius = np.linalg.norm(centred, axis=1)
    volume, surface = _hull(points[:HULL])
    along = [np.histogram(points[:, k] / extent[k], bins=8, range=(-0.5, 0.5))[0] / len(points) for k in range(3)]
    return np.concatenate([
        extent, np.sort(extent), extent / extent.max(),
        [area, area / max(surface, 1e-6), volume / extent.prod(), volume, surface],
        eigen, np.sqrt(eigen / eigen[0]), np.diag(covariance), skew, np.abs(skew),
        np.histogram(between / between.mean(), bins=24, range=(0, 3))[0] / PAIRS,
        np.histogram(radius / radius.max(), bins=12, range=(0, 1))[0] / len(points),
        *along,
    ])  # fmt: skip


def _hull(points: NDArray[np.float64]) -> tuple[float, float]:
    """Volume and area; of a flat cloud, which has no hull, zeros."""
    try:
        hull = ConvexHull(points)
    except QhullError:
        return 0.0, 0.0
    return float(hull.volume), float(hull.area)
