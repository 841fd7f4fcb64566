"""A surface out of points: how large their balls must be to close it, and its normals, from the depths in a picture."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from contrapose_pointcloud.render.camera import Camera

Array = NDArray[np.floating]
MOST = 20_000
_ASKED, _NEIGHBOUR, _SHARE = 128, 8, 0.8
_SMALLEST, _LARGEST = 0.005, 0.25


def ball_radius(xyz: Array) -> float:
    """A radius by which balls at points (N, 3) of a surface touch: 0.8 of the median distance to the eighth neighbour.

    In shares of the radius of the whole, which is 1; between 0.005 and 0.25. Of more than 20,000 points, evenly chosen ones tell
    it, as distances on a surface go by one over the root of their number.
    """
    some = xyz[_even(len(xyz), MOST)]
    asked = some[_even(len(some), _ASKED)]
    squared = np.square(asked).sum(axis=1)[:, None] + np.square(some).sum(axis=1) - 2 * asked @ some.T
    neighbour = min(_NEIGHBOUR, len(some) - 1)
    nearby = np.median(np.partition(squared, neighbour, axis=1)[:, neighbour])
    away = np.sqrt(max(nearby, 0) * len(some) / len(xyz))
    return float(np.clip(_SHARE * away, _SMALLEST, _LARGEST))


def smooth(depth: Array, step: float, passes: int) -> Array:
    """Depths (H, W), inf where nothing is, each replaced by the mean of its neighbours that differ by less than ``step``."""
    kept = depth.astype(np.float32)
    with np.errstate(invalid="ignore"):  # inf - inf
        for axis in (0, 1) * passes:
            total, count = kept.copy(), np.ones_like(kept)
            for ahead in (False, True):
                here, there = _shifted(axis, ahead)
                like = np.abs(kept[here] - kept[there]) < step
                total[here] += np.where(like, kept[there], 0)
                count[here] += like
            kept = total / count
    return kept.astype(np.float64)


def normals_of(depth: Array, camera: Camera, step: float) -> Array:
    """Unit normals (H, W, 3), by the camera's axes, of the surface that has these depths; edges are where they differ by ``step``.

    Towards the eye where a pixel has no neighbour on its surface.
    """
    there = np.isfinite(depth)
    rays = camera.rays(len(depth))
    places = (rays[..., :3] + np.where(there, depth, 0)[..., None] * rays[..., 3:]) @ camera.axes.T
    right, down = (_slope(places, depth, axis, step) for axis in (1, 0))
    across = np.cross(down, right)
    length = np.linalg.norm(across, axis=2, keepdims=True)
    normals: Array = np.where(length > 0, across / np.where(length > 0, length, 1), [0.0, 0.0, 1.0])
    return normals


def _slope(places: Array, depth: Array, axis: int, step: float) -> Array:
    """The way (H, W, 3) from a pixel's place to the next, the mean of those from before and to after where both are like it."""
    total, count = np.zeros_like(places), np.zeros((*depth.shape, 1))
    for ahead in (False, True):
        here, there = _shifted(axis, ahead)
        with np.errstate(invalid="ignore"):
            like = (np.abs(depth[there] - depth[here]) < step)[..., None]
        total[here] += np.where(like, places[there] - places[here], 0) * (1 if ahead else -1)
        count[here] += like
    return total / np.maximum(count, 1)


def _shifted(axis: int, ahead: bool) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """The pixels that have one beside them along an axis, ahead or behind, and those beside them."""
    here, there = (slice(None, -1), slice(1, None)) if ahead else (slice(1, None), slice(None, -1))
    whole = slice(None)
    return ((here, whole), (there, whole)) if axis == 0 else ((whole, here), (whole, there))


def _even(count: int, most: int) -> NDArray[np.int64]:
    return np.linspace(0, count - 1, min(count, most)).astype(np.int64)
