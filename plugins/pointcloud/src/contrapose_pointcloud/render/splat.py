"""Points as balls in a picture, by a z-buffer, in plain numpy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]


def splat(
    centre: Array, depth: Array, radius: Array, bulge: Array, size: int
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """What is nearest in each pixel (size, size) of points that are drawn as balls.

    Args:
        centre: (N, 2) in pixels, x right and y down; pixel 0 has its middle at 0.
        depth: (N,) of the balls' middles; less is nearer.
        radius: (N,) in pixels. A ball covers the pixel in which its middle is, however small.
        bulge: (N,) how much nearer than its middle a ball is at its foremost, in units of depth.
        size: of the picture.

    Returns:
        The nearest point's number, -1 where there is none; its depth there, inf where none is; and how much it faces the eye
        there, from 0 at a ball's rim to 1 at its middle.
    """
    reach = int(np.ceil(radius.max()))
    dy, dx = (o.ravel() for o in np.mgrid[-reach : reach + 1, -reach : reach + 1])
    pixel = np.rint(centre).astype(np.int64)
    number, at = np.full(size * size, -1), np.full(size * size, np.inf)
    facing = np.zeros(size * size)
    for part in _parts(len(centre), max(1, (1 << 22) // len(dx))):
        x, y = pixel[part, :1] + dx, pixel[part, 1:] + dy
        off = ((x - centre[part, :1]) ** 2 + (y - centre[part, 1:]) ** 2) / radius[part, None] ** 2
        inside = ((off <= 1) | ((dx == 0) & (dy == 0))) & (x >= 0) & (x < size) & (y >= 0) & (y < size)
        cap = np.sqrt(1 - off[inside].clip(max=1))
        row = np.broadcast_to(np.arange(part.start, part.stop)[:, None], inside.shape)[inside]
        z, where = depth[row] - bulge[row] * cap, (y * size + x)[inside]
        nearer = z < at[where]
        z, where, row, cap = z[nearer], where[nearer], row[nearer], cap[nearer]
        np.minimum.at(at, where, z)
        first = z == at[where]
        number[where[first]], facing[where[first]] = row[first], cap[first]
    return number.reshape(size, size), at.reshape(size, size), facing.reshape(size, size)


def _parts(count: int, most: int) -> list[slice]:
    """0 to count, in parts of at most so many: a large cloud is drawn in bounded memory."""
    return [slice(start, min(start + most, count)) for start in range(0, count, most)]


def occlusion(depth: Array, unit: float) -> Array:
    """Eye-dome lighting (Boucheny 2009): brightness (H, W) in (0, 1], less the more a pixel's neighbours stand before it.

    Args:
        depth: (H, W), inf where nothing is.
        unit: the depth that counts as 1.
    """
    shade = np.zeros_like(depth)
    here = np.where(np.isfinite(depth), depth, 0.0)
    for dy, dx in ((-3, 0), (3, 0), (0, -3), (0, 3), (-2, -2), (-2, 2), (2, -2), (2, 2)):
        there = np.roll(depth, (dy, dx), (0, 1))
        shade += np.where(np.isfinite(there), np.clip((here - there) / unit, 0, 0.6), 0)
    return np.exp(-0.22 * shade)
