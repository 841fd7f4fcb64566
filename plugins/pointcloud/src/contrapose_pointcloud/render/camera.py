"""Where a thing is looked at from, and where its points fall in the picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]
_GOLDEN = (5**0.5 - 1) / 2  # its multiples fill [0, 1) evenly, however many there are


@dataclass(frozen=True, slots=True)
class Camera:
    """Looks at the origin from ``azimuth`` and ``elevation`` in degrees, and shows the whole unit ball; y is up.

    Azimuth 0 is in front, where z is, 90 where x is. ``fov`` is the angle of view in degrees, 0 for parallel rays.
    """

    azimuth: float
    elevation: float
    fov: float = 40.0

    @property
    def axes(self) -> Array:
        """Rows (3, 3): right, up, and back to the eye, unit vectors."""
        a, e = np.deg2rad(self.azimuth), np.deg2rad(self.elevation)
        back = np.array([np.sin(a) * np.cos(e), np.sin(e), np.cos(a) * np.cos(e)])
        right = np.array([np.cos(a), 0.0, -np.sin(a)])
        return np.stack([right, np.cross(back, right), back])

    @property
    def distance(self) -> float:
        """From the eye to the origin: such that the ball just fits. Parallel rays start at 2."""
        return float(1 / np.sin(np.deg2rad(self.fov) / 2)) if self.fov else 2.0

    def project(self, xyz: Array) -> tuple[Array, Array, Array]:
        """Points (N, 3): places (N, 2) in the picture, within [-1, 1], x right and y up; depths (N,); enlargements (N,).

        Depth is along the axis, from the eye's nearest point of the ball, so within [0, 2]. A length times the enlargement is its
        length in the picture.
        """
        x, y, back = (xyz @ self.axes.T).T
        away = self.distance - back
        enlarged = np.full(len(xyz), 1.0) if not self.fov else np.sqrt(self.distance**2 - 1) / away
        return np.stack([x, y], axis=1) * enlarged[:, None], 1 - back, enlarged

    def rays(self, size: int) -> Array:
        """Origins and directions (size, size, 6) of the rays through the pixels' centres, rows from the top.

        An origin plus t times its direction has depth t.
        """
        at = (np.arange(size) + 0.5) / size * 2 - 1
        x, y = np.meshgrid(at, -at)
        ones = np.ones_like(x)
        if self.fov:  # through the picture's plane, where depth is 0, at distance - 1 of the eye
            spread = 1 / np.sqrt(self.distance**2 - 1)
            there = np.stack([x * spread, y * spread, -ones], axis=-1)
            start = there * (self.distance - 1) + [0, 0, self.distance]
        else:
            there, start = np.stack([0 * x, 0 * x, -ones], axis=-1), np.stack([x, y, ones], axis=-1)
        return np.concatenate([start @ self.axes, there @ self.axes], axis=-1)


def camera(number: int, of: int, azimuth: float, elevation: tuple[float, float], fov: float) -> Camera:
    """One of a finite set of cameras: evenly around from ``azimuth``, at elevations that fill the range evenly.

    The first is at the middle of the range.
    """
    low, high = elevation
    return Camera((azimuth + 360 * number / of) % 360, low + (high - low) * ((0.5 + number * _GOLDEN) % 1), fov)


def fitted(xyz: Array) -> tuple[Array, float]:
    """The middle (3,) of the points' box, and their largest distance from it, 1 where they are all there."""
    xyz = xyz.astype(np.float64)
    middle = (xyz.min(axis=0) + xyz.max(axis=0)) / 2
    farthest = float(np.linalg.norm(xyz - middle, axis=1).max())
    return middle, farthest or 1.0
