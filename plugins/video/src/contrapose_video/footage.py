"""What a video is before a view asks for frames: where it lies, and when each of its frames is shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from contrapose.errors import DataError
from contrapose_video.arguments import Decoder

Frames = NDArray[np.uint8]
"""A clip as decoded: uint8 (T, H, W, 3), RGB."""

RATE = 25.0
"""Frames a second of what doesn't say: folders of pictures, arrays."""


@dataclass(frozen=True)
class Footage:
    """A video that isn't decoded yet.

    ``source`` is a file (a path, or its bytes), pictures in their order (paths), or the frames themselves (uint8 (T, H, W, 3)).
    ``times`` (T,) float64 are the seconds from the first frame at which each is shown, increasing; ``size`` is height and width
    in pixels, ``name`` what messages call it, ``decoder`` what reads a file. Where it isn't ``timed``, the file itself doesn't
    say when, and frames are counted. ``keys`` (K,) int64 are the frames from which decoding may begin, increasing; none where
    that isn't known. ``turns`` are the quarter turns to the left after which a picture as stored stands as ``size`` has it.
    """

    source: bytes | Path | tuple[Path, ...] | Frames
    times: NDArray[np.float64]
    size: tuple[int, int]
    name: str = "a video"
    decoder: Decoder = "decord"
    timed: bool = True
    keys: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    turns: int = 0

    def __len__(self) -> int:
        return len(self.times)

    @cached_property
    def interval(self) -> float:
        """The usual time between two frames, in seconds: the median; that of ``RATE`` where there is one frame."""
        return float(np.median(np.diff(self.times))) if len(self.times) > 1 else 1 / RATE

    @property
    def fps(self) -> float:
        """Frames a second, as is usual in this video."""
        return 1 / self.interval

    @property
    def duration(self) -> float:
        """Seconds from when the first frame is shown until the last one goes."""
        return float(self.times[-1]) + self.interval

    def at(self, seconds: NDArray[np.float64]) -> NDArray[np.int64]:
        """The frames that are shown at these moments (of any shape); the first one before, the last one after."""
        shown = np.searchsorted(self.times, seconds + 1e-3 * self.interval, side="right") - 1  # rounding is no frame
        return shown.clip(0, len(self) - 1)

    def frames(self, numbers: NDArray[np.int64], short: int | None = None) -> Frames:
        """The frames of these ``numbers`` (T,), in their order, the shorter side of the picture at most ``short`` pixels.

        Each is decoded once, however often it is asked for. Raises ``DataError`` for what can't be decoded.
        """
        from contrapose_video.decode import decode

        wanted, place = np.unique(numbers, return_inverse=True)
        height, width = within(self.size, short)
        found = decode(self, wanted, height, width)
        return found[place.reshape(-1)] if len(wanted) != len(numbers) or (np.diff(numbers) < 0).any() else found


def within(size: tuple[int, int], short: int | None) -> tuple[int, int]:
    """Height and width scaled such that the shorter one is at most ``short``."""
    if short is None or min(size) <= short:
        return size
    scale = short / min(size)
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def footage_of(data: Any) -> Footage:
    """Footage as it is, and a clip that another view made, uint8 (T, H, W, 3), as footage of ``RATE``. Raises ``DataError``."""
    if isinstance(data, Footage):
        return data
    if isinstance(data, Tensor):
        raise DataError(
            "these frames are a float tensor already: whatever chooses frames comes first in a list of views"
        )
    return of_frames(data)


def of_frames(frames: Any, rate: float = RATE, name: str = "a video") -> Footage:
    """Frames in memory, uint8 (T, H, W, 3), as footage. Raises ``DataError`` for anything else."""
    frames = np.asarray(frames)
    if frames.ndim != 4 or frames.shape[-1] != 3 or frames.dtype != np.uint8 or not frames.size:
        raise DataError(f"{name}: frames are uint8 (T, H, W, 3), not {frames.dtype} {tuple(frames.shape)}")
    return Footage(frames, np.arange(len(frames)) / rate, (frames.shape[1], frames.shape[2]), name)


def of_pictures(paths: Sequence[Path], size: tuple[int, int], rate: float, name: str) -> Footage:
    """Pictures of one size (height, width), shown one after the other."""
    return Footage(tuple(paths), np.arange(len(paths)) / rate, size, name)
