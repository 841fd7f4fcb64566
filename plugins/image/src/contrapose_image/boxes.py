"""Where to crop: torchvision's rule, for one image and for a batch."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from contrapose_image.arguments import Range

TRIES = 10


def crop_box(
    height: int, width: int, rng: np.random.Generator, scale: Range, ratio: Range
) -> tuple[int, int, int, int]:
    """Top, left, height, width by torchvision's rule: ten tries, then the largest central crop of an allowed ratio."""
    for _ in range(TRIES):
        area = height * width * rng.uniform(*scale)
        aspect = math.exp(rng.uniform(math.log(ratio[0]), math.log(ratio[1])))
        w, h = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < w <= width and 0 < h <= height:
            return int(rng.integers(height - h + 1)), int(rng.integers(width - w + 1)), h, w
    return central_box(height, width, ratio)


def central_box(height: int, width: int, ratio: Range) -> tuple[int, int, int, int]:
    """The largest central crop of an allowed ratio."""
    w, h = width, height
    if width / height < ratio[0]:
        h = round(w / ratio[0])
    elif width / height > ratio[1]:
        w = round(h * ratio[1])
    return (height - h) // 2, (width - w) // 2, h, w


def crop_boxes(count: int, height: int, width: int, generator: torch.Generator, scale: Range, ratio: Range) -> Tensor:
    """`crop_box` for ``count`` images of one size: (count, 4) float32 whole numbers, on the generator's device."""
    area, aspect, *corner = torch.rand(4, count, TRIES, generator=generator, device=generator.device)
    area = height * width * (scale[0] + area * (scale[1] - scale[0]))
    aspect = torch.exp(math.log(ratio[0]) + aspect * (math.log(ratio[1]) - math.log(ratio[0])))
    w, h = torch.sqrt(area * aspect).round_(), torch.sqrt(area / aspect).round_()
    fits = (w > 0) & (w <= width) & (h > 0) & (h <= height)
    top, left = (corner[0] * (height - h + 1)).floor_(), (corner[1] * (width - w + 1)).floor_()
    tries = torch.stack([top, left, h, w], dim=2)
    first = fits.byte().argmax(dim=1)  # of several largest the first
    box = tries[torch.arange(count, device=tries.device), first].unbind(dim=1)
    central = central_box(height, width, ratio)
    return torch.stack([torch.where(fits.any(dim=1), b, float(c)) for b, c in zip(box, central, strict=True)], dim=1)
