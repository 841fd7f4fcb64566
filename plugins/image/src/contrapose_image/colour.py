"""Changes of colour, for one image and for a batch in which each image has factors and an order of its own."""

from __future__ import annotations

import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as tvf

BRIGHTNESS, CONTRAST, SATURATION, HUE = range(4)


def either(which: Tensor, one: Tensor, other: Tensor) -> Tensor:
    """``torch.where`` of finite floats, several times faster on a CPU: between 0 and 1 nothing is mixed, so it is as exact."""
    return torch.lerp(other, one, which.to(one.dtype))


def hue_turned(image: Tensor, turn: float | Tensor) -> Tensor:
    """torchvision's ``adjust_hue`` of (..., 3, H, W) by the closed form of HSV to RGB: many times faster on small images."""
    red, green, blue = image.split(1, dim=-3)
    value, least = image.amax(dim=-3, keepdim=True), image.amin(dim=-3, keepdim=True)
    chroma = value - least
    safe = chroma.clamp(min=torch.finfo(chroma.dtype).tiny)  # where it is 0, so is what is divided by it
    hue = either(value == red, (green - blue).div_(safe), (red - green).div_(safe).add_(4))
    hue = either((value == green) & (value != red), (blue - red).div_(safe).add_(2), hue)  # in sixths of the circle
    sectors = 5 - 2 * torch.arange(3, dtype=image.dtype, device=image.device).view(3, 1, 1)  # made there: no wait
    place = hue + (6 * turn + sectors)
    spare = place / 6  # what follows stays in these two: to a large batch, memory costs more than arithmetic
    place -= spare.floor_().mul_(6)  # remainder() isn't vectorised
    torch.neg(place, out=spare).add_(4)
    torch.minimum(place, spare, out=place).clamp_(0, 1).mul_(chroma)
    return torch.sub(value, place, out=place)


def jittered(images: Tensor, factors: Tensor, order: Tensor, hue: bool = True) -> Tensor:
    """Each image's brightness, contrast, saturation and hue changed in its own order.

    Nothing waits for the device: rows take part in every round, most with a factor of 1, which changes nothing. Three rounds before
    the hue and three after it are any order, as the other three are one formula.

    Args:
        images: (n, 3, H, W) float32 in [0, 1].
        factors: (n, 4): of brightness, contrast and saturation, 1 for none, and the hue's turn, 0 for none.
        order: (n, 4) int64, a permutation of 0 to 3 a row: which of the four comes first, and so on.
        hue: False where no hue turns at all.
    """
    turned = (order == HUE).byte().argmax(dim=1)
    factor = factors.gather(1, order)
    for i in range(3):
        images = _blended(images, torch.where(i < turned, factor[:, i], 1.0), order[:, i])
    if hue:
        turn = factors[:, HUE].view(-1, 1, 1, 1)
        images = either(turn != 0, hue_turned(images, turn), images)
    for i in range(1, 4):
        images = _blended(images, torch.where(i > turned, factor[:, i], 1.0), order[:, i])
    return images


def _blended(images: Tensor, factor: Tensor, which: Tensor) -> Tensor:
    """Away from black, the mean grey or each pixel's grey by a factor: brightness, contrast, saturation."""
    factor, which = factor.view(-1, 1, 1, 1), which.view(-1, 1, 1, 1)
    grey = tvf.rgb_to_grayscale(images)
    mean = grey.mean(dim=(1, 2, 3), keepdim=True) * (which == CONTRAST)
    other = torch.addcmul(mean, grey, (which == SATURATION).to(grey.dtype))
    return torch.lerp(other, images, factor).clamp_(0, 1)
