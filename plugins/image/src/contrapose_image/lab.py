"""CMC's split: a picture's lightness and its colours as two views."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from contrapose import view
from contrapose.types import View
from contrapose_image.arguments import Size
from contrapose_image.pixels import Image
from contrapose_image.steps import flip, random_resized_crop

XYZ = ((0.412453, 0.357580, 0.180423), (0.212671, 0.715160, 0.072169), (0.019334, 0.119193, 0.950227))
WHITE = (0.95047, 1.0, 1.08883)  # D65
LEAST, MOST = (0.0, -86.183, -107.857), (100.0, 98.233, 94.478)  # of L, a and b over all sRGB colours


@view("image", names=("l", "ab"))
def lab(image: Image, rng: np.random.Generator, size: Size = 224) -> list[View]:
    """One crop in Lab, taken apart into ``l`` and ``ab`` (CMC, Tian et al. 2020, section 4.2): crop (0.08, 1), flip.

    Both are float32 (3, size, size) in [0, 1], so that every encoder reads them: ``l`` is L three times; ``ab`` is a, b and a
    half, each channel spread from its least to its largest value in sRGB, as the authors' code does. A branch for each, with an
    encoder of its own: ``{views: l, encoder: l}`` and ``{views: ab, encoder: ab}``.

    Args:
        size: side of the crop in pixels.
    """
    crop = flip(random_resized_crop(image, rng, size=size, scale=(0.08, 1.0)), rng)
    least, most = (torch.tensor(ends).view(3, 1, 1) for ends in (LEAST, MOST))
    lightness, *colours = ((to_lab(crop) - least) / (most - least)).clamp_(0, 1)
    ab = torch.stack([*colours, torch.full_like(lightness, 0.5)])
    return [View("l", "image", lightness.expand(3, -1, -1).contiguous()), View("ab", "image", ab)]


def to_lab(image: Tensor) -> Tensor:
    """(3, H, W) sRGB in [0, 1] to CIE L*a*b* under D65: L in [0, 100], a and b about [-108, 98]."""
    linear = torch.where(image > 0.04045, ((image + 0.055) / 1.055) ** 2.4, image / 12.92)
    xyz = torch.einsum("ij,jhw->ihw", torch.tensor(XYZ) / torch.tensor(WHITE)[:, None], linear)
    x, y, z = torch.where(xyz > 0.008856, xyz.clamp(min=0.008856) ** (1 / 3), 7.787 * xyz + 16 / 116)
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)])
