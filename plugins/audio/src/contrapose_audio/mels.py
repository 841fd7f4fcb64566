"""Views that change log-mels, (C, mels, frames); all channels alike. They stand after ``audio/log-mel``.

Each does the same to (n, C, mels, frames) with a ``torch.Generator``, row by row by draws of its own.
"""

from __future__ import annotations

from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor

from contrapose import view
from contrapose_audio.arguments import NotNegative, Positive, Probability
from contrapose_audio.draws import MEL, Draws, as_batch, as_given, rows

Range = tuple[Positive, Positive]
Grown = tuple[Annotated[float, Field(ge=1)], Annotated[float, Field(ge=1)]]
Times = Annotated[int, Field(ge=0)]


@view("audio", batched=True)
def mask(
    mel: Any,
    rng: Any,
    bands: Probability = 0.3,
    frames: Probability = 0.3,
    band_masks: Times = 1,
    frame_masks: Times = 1,
) -> Tensor:
    """Some bands and some frames become the log-mel's mean: SpecAugment's masks (Park et al., Interspeech 2019), without warping.

    A mask's width is uniform from none to the most, and so is its place among those that there are. In the paper two masks of
    up to 27 of 80 bands, and two of up to 100 frames (policy LD).

    Args:
        bands: share of the bands that a mask takes at most.
        frames: share of the frames that a mask takes at most.
        band_masks: how many masks of bands.
        frame_masks: how many masks of frames.
    """
    mels, draws = as_batch(mel, rng, MEL)
    covered = torch.zeros(len(mels), 1, *mels.shape[2:], dtype=torch.bool, device=mels.device)
    for _ in range(band_masks):
        covered |= _stretch(draws, mels.shape[2], bands)[:, None, :, None]
    for _ in range(frame_masks):
        covered |= _stretch(draws, mels.shape[3], frames)[:, None, None, :]
    return as_given(torch.where(covered, mels.mean(dim=(2, 3), keepdim=True), mels), rng)


def _stretch(draws: Draws, count: int, share: float) -> Tensor:
    """(n, count) bool: a stretch of up to ``share`` of the places."""
    width = draws.upto(int(share * count))
    start = draws.upto(count - width)[:, None]
    place = torch.arange(count, device=start.device)
    return (place >= start) & (place < start + width[:, None])


@view("audio", batched=True)
def resize_crop(
    mel: Any,
    rng: Any,
    bands: Range = (0.6, 1.5),
    frames: Range = (0.6, 1.5),
    canvas: Grown = (1.0, 1.5),
) -> Tensor:
    """BYOL-A's random resize crop (Niizumi et al., 2021): a rectangle of a larger canvas, brought to the log-mel's size.

    The log-mel lies in the middle of the canvas, which is 0 elsewhere: the mean, after ``audio/normalise``. Cubic interpolation
    between the corners, as in the authors' code; the rectangle is cut off where the canvas ends.

    Args:
        bands: height of the rectangle, as a share of the bands, uniform.
        frames: width of the rectangle, as a share of the frames, uniform.
        canvas: height and width of the canvas, as shares of bands and frames.
    """
    mels, draws = as_batch(mel, rng, MEL)
    made = mels
    for dim, share, grown in ((2, bands, canvas[0]), (3, frames, canvas[1])):
        count = mels.shape[dim]
        whole = int(count * grown)
        length = (draws.uniform(*share) * count).long().clamp(1, whole)
        start = draws.upto(whole - length)
        before = (whole - count) // 2
        taken = resizing(start, length, whole, count)[
            :, None, :, before : before + count
        ]  # the rest of the canvas is 0
        made = taken @ made if dim == 2 else made @ taken.mT
    return as_given(made, rng)


def resizing(start: Tensor, length: Tensor, full: int, size: int) -> Tensor:
    """(n, size, full) float32: what each of ``size`` new places takes of ``full`` old ones.

    Those of [start, start + length) are resized, from the first to the last: by Keys' cubic with a = -0.75, as torch's bicubic with
    ``align_corners=True``.
    """
    start, length = start[:, None].double(), length[:, None].double()
    at = torch.arange(size, device=start.device) * (length - 1) / max(size - 1, 1)
    first = at.floor()
    made = at.new_zeros(len(start), size, full)
    for tap in range(-1, 3):
        place = (first + tap).minimum(length - 1).clamp_min(0) + start
        made.scatter_add_(2, place.long()[..., None], _cubic((at - first - tap).abs())[..., None])
    return made.float()


def _cubic(x: Tensor) -> Tensor:
    a = -0.75
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = ((x - 5) * x + 8) * a * x - 4 * a
    return torch.where(x <= 1, near, far)


@view("audio", batched=True)
def fader(mel: Any, rng: Any, most: NotNegative = 1.0) -> Tensor:
    """Louder or softer from one end to the other, linearly in the logarithm: BYOL-A v2's fader (Niizumi et al., 2023).

    Args:
        most: added at each end, uniform from -most to most.
    """
    mels, draws = as_batch(mel, rng, MEL)
    head, tail = (rows(draws.uniform(-most, most), mels) for _ in range(2))
    across = torch.linspace(0, 1, mels.shape[-1], device=mels.device)
    return as_given(mels + head + (tail - head) * across, rng)
