"""What the table's methods need beside the plugins: a picture's lightness and colour as modalities, and its patches as a sequence.

contrapose train ... --plugin examples/methods_table/sights.py

Lightness and colour read the picture's own column. As in CMC's YDbDr split (Tian et al. 2020), luma is one modality and the two
colour differences the other. Patches are read one by one, as in CPC (van den Oord et al. 2018, section 3.2).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from contrapose import encoder, view
from contrapose.plugins.decorators import mark
from contrapose_image import steps
from contrapose_image.encoders import Small
from contrapose_image.modality import Image

LUMA = (0.299, 0.587, 0.114)


def luma(pictures: Tensor) -> Tensor:
    """(n, 3, H, W) to (n, 1, H, W), both in [0, 1]."""
    return (pictures * pictures.new_tensor(LUMA).view(3, 1, 1)).sum(1, keepdim=True)


class Lightness(Image):
    """The luma of a picture, (1, H, W) in [0, 1]."""

    name = "lightness"

    def collate(self, items: Sequence[Any]) -> Tensor:
        """Pictures to (n, 1, H, W)."""
        return luma(super().collate(items))


class Colour(Image):
    """What a picture has beside its lightness: blue and red less luma, (2, H, W) in [-1, 1]."""

    name = "colour"

    def collate(self, items: Sequence[Any]) -> Tensor:
        """Pictures to (n, 2, H, W)."""
        pictures = super().collate(items)
        return pictures[:, [2, 0]] - luma(pictures)


mark(Lightness, "modality", "lightness")
mark(Colour, "modality", "colour")


def crop_and_flip(picture: Any, rng: np.random.Generator, size: int) -> Tensor:
    """The views of the paper: no change of colours, which would give away one modality in the other."""
    return steps.flip(steps.random_resized_crop(picture, rng, size=size, scale=(0.2, 1.0)), rng)


@view("lightness")
def lightness_crop(picture: Any, rng: np.random.Generator, size: int = 32) -> Tensor:
    """A random crop of the lightness, perhaps mirrored."""
    return crop_and_flip(picture, rng, size)


@view("colour")
def colour_crop(picture: Any, rng: np.random.Generator, size: int = 32) -> Tensor:
    """A random crop of the colour, perhaps mirrored."""
    return crop_and_flip(picture, rng, size)


class Sight(Small):
    """``image/small`` on fewer channels."""

    def __init__(self, modality: str, width: int = 16) -> None:
        super().__init__(width)
        self.modality = modality

    def forward(self, data: Tensor) -> dict[str, Tensor]:
        """(n, 1 or 2, H, W) to the taps of ``image/small``."""
        return super().forward(F.pad(data, (0, 0, 0, 0, 0, 3 - data.shape[1])))


@encoder("lightness_small")
def lightness_small(width: int = 16) -> Sight:
    """A small network for lightness."""
    return Sight("lightness", width)


@encoder("colour_small")
def colour_small(width: int = 16) -> Sight:
    """A small network for colour."""
    return Sight("colour", width)


class Patches(Small):
    """``image/small`` on each patch by itself, in the order of reading; patches overlap by half."""

    def __init__(self, width: int = 16, patch: int = 16) -> None:
        super().__init__(width)
        self.patch = patch

    def forward(self, data: Tensor) -> dict[str, Tensor]:
        """(n, 3, H, W) to ``dense`` (n, P, D), a position a patch, and their mean ``pooled`` (n, D)."""
        side, step = self.patch, self.patch // 2
        cut = rearrange(data.unfold(2, side, step).unfold(3, side, step), "n c y x h w -> (n y x) c h w")
        taps = super().forward(cut)
        dense = rearrange(taps["pooled"], "(n p) d -> n p d", n=len(data))
        inner = rearrange(taps["layer3"], "(n p) d -> n p d", n=len(data))
        return {"dense": dense, "pooled": dense.mean(1), "layer3": inner.mean(1)}


@encoder("patches")
def patches(width: int = 16, patch: int = 16) -> Patches:
    """A small network on each patch."""
    return Patches(width, patch)
