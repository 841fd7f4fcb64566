"""FAME: what moves in a clip, pasted on another clip of the batch (Ding et al., CVPR 2022, arXiv:2109.15130).

A network that tells videos apart by what stands still learns backgrounds. Here one of a video's two clips keeps what moves and gets
the background of another video.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from contrapose.errors import ConfigError
from contrapose.types import ViewBatch

Share = Annotated[float, Field(gt=0, le=1)]

BINS = 10
"""Of a histogram of colours, on each of its three axes."""
MOVING, STILL = 0.5, 0.1
"""Shares of the pixels, those that move most and least, by whose colours all are judged."""


@dataclass(frozen=True)
class Fame:
    """Each clip's foreground over another clip's background, by one mask for all frames.

    The mask is the share ``beta`` of the pixels that look most like what moves (`foreground`). Whose background a clip gets is
    one draw for the batch, which is rolled by 1 to n - 1 rows, so never its own; a batch of one stays as it is. The column
    ``other`` says which sample the background is of. (The authors merge clips that are cropped and not yet coloured; a mixer
    gets whole views, so what colours the slot ``of`` colours both parts on their own.)

    Args:
        of: the slot whose clips are merged.
        beta: share of the pixels that are foreground.
    """

    of: str
    beta: Share = 0.5
    modality: str = "video"

    def mix(self, views: ViewBatch, sample: Tensor, generator: torch.Generator) -> ViewBatch:
        """See ``contrapose.views.BatchMixer``: clips (n, 3, T, H, W) in [0, 1]. Raises ``ConfigError`` for single frames."""
        clips: Tensor = views.data
        n, device = len(clips), clips.device
        if clips.shape[2] < 2:
            raise ConfigError("video/fame sees motion between frames, so clips need 2 at least, not 1", ("of",))
        shift = int(torch.randint(1, max(n, 2), (), generator=generator, device=device))
        other = (torch.arange(n, device=device) + shift) % n
        mask = foreground(clips, self.beta)[:, None, None]
        told = {**views.meta, "other": sample[views.index[other]]}
        return ViewBatch(torch.where(mask, clips, clips[other]), views.modality, views.index, told)


def foreground(clips: Tensor, beta: float = 0.5) -> Tensor:
    """Masks (n, H, W), true for the share ``beta`` of the pixels of clips (n, 3, T, H, W) that are likest to what moves.

    Section 3.2: the blurred sum of frame differences seeds a histogram of the colours that move and one of those that don't; a
    pixel of the mean frame is foreground by its colour's share in the one against the other, blurred again. As in the authors'
    code, but for their hue, which they take for a part of a turn where it is an angle. Where nothing moves, and between equals,
    the first pixels are taken.
    """
    n, _, _, height, width = clips.shape
    motion = _blurred(clips.diff(dim=2).abs().sum(dim=1).mean(dim=1)).flatten(1)
    seen = _colours(clips.mean(dim=2)).flatten(1)
    moving = _histogram(seen, _top(motion, int(MOVING * height * width)))
    still = _histogram(seen, _top(-motion, int(STILL * height * width))) + 1
    p, q = (h / h.sum(dim=1, keepdim=True).clamp_min(1) for h in (moving, still))
    alike = (p / (p + q)).to(clips.dtype).gather(1, seen).view(n, height, width)
    return _top(_blurred(alike).flatten(1), int(beta * height * width)).view(n, height, width)


def _blurred(maps: Tensor) -> Tensor:
    """(n, H, W) under a Gaussian a tenth of the picture wide, an odd number k of pixels, of deviation k / 3; edges mirrored."""
    k = int(0.1 * min(maps.shape[-2:])) // 2 * 2 + 1
    at = torch.arange(k, device=maps.device, dtype=maps.dtype) - k // 2
    line = torch.exp(-((at / (k / 3)) ** 2) / 2)
    line = line / line.sum()
    padded = F.pad(maps[:, None], [k // 2] * 4, mode="reflect")
    return F.conv2d(F.conv2d(padded, line.view(1, 1, 1, k)), line.view(1, 1, k, 1))[:, 0]


def _colours(pictures: Tensor) -> Tensor:
    """Pictures (n, 3, H, W) to numbers of colours (n, H, W): bins of the plane of hue and saturation, and of the value."""
    most, which = pictures.max(dim=1)
    spread = most - pictures.min(dim=1).values
    r, g, b = pictures.unbind(dim=1)
    sixths = torch.stack([g - b, b - r + 2 * spread, r - g + 4 * spread], dim=1).gather(1, which[:, None])[:, 0]
    hue = sixths / spread.clamp_min(1e-8) * (math.pi / 3)
    saturation = spread / most.clamp_min(1e-8)
    axes = ((saturation * hue.cos() + 1) / 2, (saturation * hue.sin() + 1) / 2, most)
    x, y, z = ((axis * (BINS - 1)).round().long().clamp(0, BINS - 1) for axis in axes)
    return x + BINS * (y + BINS * z)


def _histogram(seen: Tensor, chosen: Tensor) -> Tensor:
    """How often each colour is among the chosen pixels: (n, BINS^3) of numbers (n, P) and truth values (n, P)."""
    counts = torch.zeros(len(seen), BINS**3, device=seen.device, dtype=torch.float64)
    return counts.scatter_add(1, seen, chosen.to(counts.dtype))


def _top(values: Tensor, count: int) -> Tensor:
    """True for the ``count`` largest of each row (n, P); of equals the first."""
    order = values.argsort(dim=1, descending=True, stable=True)[:, :count]
    return torch.zeros_like(values, dtype=torch.bool).scatter(1, order, True)
