"""A picture of a point cloud in plain numpy: balls on white, coloured by height, shaded by depth."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from contrapose_pointcloud.render.splat import occlusion, splat

_COLOURS = np.array(  # dark blue, teal, green, yellow: even steps of lightness, safe for the colour-blind
    [[62, 64, 135], [42, 113, 142], [32, 155, 138], [91, 196, 102], [190, 219, 58], [247, 222, 62]], np.float32
)
_TURN, _TILT = np.deg2rad(35.0), np.deg2rad(22.0)
_SUPERSAMPLING = 3


def draw(points: NDArray[np.float32], size: int) -> NDArray[np.uint8]:
    """Picture (size, size, 3) of points (N, 3), y up, fitted to the frame; nearer balls hide what is behind them."""
    centred = points - (points.min(axis=0) + points.max(axis=0)) / 2
    centred = centred / max(float(np.linalg.norm(centred, axis=1).max()), 1e-9)
    seen = centred @ _camera().T
    side = size * _SUPERSAMPLING
    radius = max(1.5, 0.55 * side / np.sqrt(len(np.unique(points, axis=0)) + 16))
    spread = max(float(np.abs(seen[:, :2]).max()), 1e-9)
    centre = seen[:, :2] * [1, -1] / spread * (0.5 * side - radius - 2 * _SUPERSAMPLING) + (side - 1) / 2
    same = np.ones(len(points))
    number, depth, facing = splat(centre, -seen[:, 2], radius * same, radius / spread * same, side)
    tone = _height_colours(centred[:, 1])[number] * (0.78 + 0.22 * facing)[..., None]
    picture = np.where(number[..., None] >= 0, tone * occlusion(depth, 1.0)[..., None], 255.0)
    return picture.reshape(size, _SUPERSAMPLING, size, _SUPERSAMPLING, 3).mean(axis=(1, 3)).round().astype(np.uint8)


def _camera() -> NDArray[np.float64]:
    """Rows: right, up, towards the eye."""
    c, s = np.cos(_TURN), np.sin(_TURN)
    turn = np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])
    c, s = np.cos(_TILT), np.sin(_TILT)
    return np.array([[1, 0, 0], [0, c, -s], [0, s, c]]) @ turn


def _height_colours(height: NDArray[np.float32]) -> NDArray[np.float32]:
    low, high = height.min(), height.max()
    place = (height - low) / max(float(high - low), 1e-9) * (len(_COLOURS) - 1)
    return np.stack([np.interp(place, range(len(_COLOURS)), channel) for channel in _COLOURS.T], axis=1).astype(
        np.float32
    )
