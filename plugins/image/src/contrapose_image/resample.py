"""Crop and resize of a batch by two matrices an image: ``vertical @ image @ horizontal.T``, at a matrix product's speed."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from contrapose_image.arguments import Interpolation


def resized_crops(images: Tensor, boxes: Tensor, size: int, interpolation: Interpolation = "bilinear") -> Tensor:
    """(n, 3, size, size): each image's box, resized as torchvision does it with ``antialias=True``, clipped to [0, 1].

    Args:
        images: (n, 3, H, W) float32.
        boxes: (n, 4) float32, whole numbers: top, left, height, width.
        size: side of the result in pixels.
        interpolation: how to resize.
    """
    top, left, h, w = boxes.unbind(dim=1)
    vertical = resizing(top, h, images.shape[-2], size, interpolation)
    horizontal = resizing(left, w, images.shape[-1], size, interpolation)
    n, channels, height, width = images.shape
    side_by_side = images.transpose(1, 2).reshape(
        n, height, channels * width
    )  # one product for all channels: far faster
    rows = (vertical @ side_by_side).view(n, size, channels, width).transpose(1, 2).reshape(n, channels * size, width)
    return (rows @ horizontal.mT).view(n, channels, size, size).clamp_(0, 1)


def resizing(start: Tensor, length: Tensor, full: int, size: int, interpolation: Interpolation) -> Tensor:
    """(n, size, full): what each of ``size`` new pixels takes of ``full`` old ones, of which [start, start + length) are resized.

    The filter is as wide as a new pixel where that is wider than an old one (antialiasing), and what of it lies outside the piece
    is left out.
    """
    start, length = start[:, None, None], length[:, None, None]
    new = torch.arange(size, dtype=start.dtype, device=start.device).view(1, size, 1)
    old = torch.arange(full, dtype=start.dtype, device=start.device).view(1, 1, full) - start
    scale = length / size
    if interpolation == "nearest":
        return (old == torch.minimum((new * scale).floor(), length - 1)).to(start.dtype)
    distance = ((old + 0.5) - (new + 0.5) * scale).abs_().div_(scale.clamp(min=1))
    weights = _FILTERS[interpolation](distance).masked_fill_((old < 0) | (old >= length), 0)
    return weights.div_(weights.sum(dim=2, keepdim=True))


def _triangle(distance: Tensor) -> Tensor:
    return (1 - distance).clamp_(min=0)


def _cubic(distance: Tensor) -> Tensor:
    """Keys' cubic with a = -0.5, as pillow's and torchvision's antialiased one."""
    inner = (1.5 * distance - 2.5) * distance * distance + 1
    outer = (((distance - 5) * distance + 8) * distance - 4) * -0.5
    return torch.where(distance < 1, inner, torch.where(distance < 2, outer, 0.0))


_FILTERS: dict[str, Callable[[Tensor], Tensor]] = {"bilinear": _triangle, "bicubic": _cubic}
