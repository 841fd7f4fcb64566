"""Views of clips that this protocol adds to the plugin's, and a modality that decodes a clip once; ``--plugin motion_views.py``."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

import contrapose
from contrapose.config import build
from contrapose.types import View
from contrapose_video.footage import Footage, footage_of, of_frames
from contrapose_video.frames import central
from contrapose_video.modality import Video
from contrapose_video.probe import footage

RATE = 17.5
SEEN = 8


@cache
def decoded(cell: bytes) -> Footage:
    """All frames of a file, uint8 (T, H, W, 3), kept in memory: 345 kB a clip here, against some milliseconds each time."""
    read = footage(cell, Path(), "decord", RATE)
    return of_frames(read.frames(np.arange(len(read))), RATE)


@contrapose.modality("kept-video")
class Kept(Video):
    """Videos whose files are decoded once a process, as short ones may be."""

    def load(self, cells: Mapping[str, Any], root: Path) -> Footage:
        """One cell, the bytes of a file."""
        return decoded(next(iter(cells.values())))


@contrapose.view("video")
def tint(clip: Tensor, rng: np.random.Generator, most: float = 0.4, grey: float = 0.2) -> Tensor:
    """Other light and colours for a clip (3, T, H, W), the same for all frames.

    Brightness, contrast about the mean and saturation, each times a factor uniform in 1 ± ``most``; grey with probability ``grey``.
    """
    light, contrast, colour = 1 + rng.uniform(-most, most, 3)
    if rng.random() < grey:
        colour = 0.0
    made = clip * light
    plain = made.mean(dim=0, keepdim=True)
    mean = plain.mean()
    return (mean + contrast * (plain + colour * (made - plain) - mean)).clamp(0, 1).float()


@contrapose.view("video", makes="image")
def still(video: Any, rng: np.random.Generator) -> NDArray[np.uint8]:
    """One frame (H, W, 3) uint8 from anywhere in the video."""
    read = footage_of(video)
    return read.frames(rng.integers(len(read), size=1))[0]


@contrapose.view("video", makes="image", names=tuple(f"frame_{n}" for n in range(SEEN)))
def stills(video: Any, rng: np.random.Generator, size: int = 40) -> list[View]:
    """Eight frames, evenly from the first to the last, their middle squares (3, ``size``, ``size``); nothing is random."""
    read = footage_of(video)
    frames = read.frames(np.linspace(0, len(read) - 1, SEEN).round().astype(np.int64))
    squares = central(frames, size)
    return [View(f"frame_{n}", "image", torch.clone(squares[:, n]), {}) for n in range(SEEN)]


@contrapose.encoder("changes")
class Changes(nn.Module):
    """An encoder of clips that sees how each frame differs from the one before, not the frames: what stands still is grey.

    Args:
        encoder: what reads the differences, (n, 3, T - 1, H, W), 0.5 where nothing changes.
        gain: by which differences are multiplied.
    """

    modality = "video"

    def __init__(self, encoder: Any = "video/small", gain: float = 2.0) -> None:
        super().__init__()
        self.encoder = build("encoder", encoder, ("encoder",))
        self.gain, self.dims = gain, self.encoder.dims

    def forward(self, data: Tensor) -> dict[str, Tensor]:
        """(n, 3, T, H, W) in [0, 1] to the encoder's taps."""
        taps: dict[str, Tensor] = self.encoder(0.5 + self.gain * (data[:, :, 1:] - data[:, :, :-1]))
        return taps
