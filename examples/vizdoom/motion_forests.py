"""What hand-made features know of a clip (24, 60, 80, 3): one frame, differences of frames, and how blocks of the picture move."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Clip = NDArray[np.uint8]
Features = NDArray[np.float64]


def grey(clip: Clip, rows: int = 15, columns: int = 20) -> Features:
    """Means of blocks, (T, rows, columns) in [0, 1]."""
    t, height, width, _ = clip.shape
    return clip.mean(axis=3).reshape(t, rows, height // rows, columns, width // columns).mean(axis=(2, 4)) / 255


def single_frame(clip: Clip) -> Features:
    """The middle frame: 15 x 20 blocks of grey, and a histogram of 4 x 4 x 4 colours."""
    middle = clip[len(clip) // 2]
    colours = np.bincount((middle // 64 @ np.array([16, 4, 1])).reshape(-1), minlength=64) / middle[..., 0].size
    return np.concatenate([grey(middle[None]).reshape(-1), colours])


def differences(clip: Clip) -> Features:
    """Mean over time of the change from frame to frame, with its sign and without, 15 x 20 blocks each."""
    change = np.diff(grey(clip), axis=0)
    return np.concatenate([change.mean(axis=0), np.abs(change).mean(axis=0)], axis=None)


def flow(clip: Clip, rows: int = 3, columns: int = 4) -> Features:
    """How each of 3 x 4 parts moves, right and down: the median over time of Lucas and Kanade's estimate (1981)."""
    pictures = grey(clip, 30, 40)
    mean = (pictures[1:] + pictures[:-1]) / 2
    gradients = np.gradient(mean, axis=2), np.gradient(mean, axis=1), np.diff(pictures, axis=0)

    def summed(values: Features) -> Features:
        return values.reshape(len(values), rows, 30 // rows, columns, 40 // columns).sum(axis=(2, 4))

    x, y, t = gradients
    xx, yy, xy, xt, yt = (summed(a * b) for a, b in ((x, x), (y, y), (x, y), (x, t), (y, t)))
    xx, yy = xx + 1e-3, yy + 1e-3  # where there is nothing to see, nothing moves
    det = xx * yy - xy**2
    moved = np.stack([xy * yt - yy * xt, xy * xt - xx * yt]) / det
    return np.median(moved, axis=1).reshape(-1)


FORESTS = {"single frame": single_frame, "frame differences": differences, "optical flow": flow}
