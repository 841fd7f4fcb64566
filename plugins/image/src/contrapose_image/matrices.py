"""Brightness, contrast, saturation and hue as one matrix an image: the fast form of colour jitter.

Each change is an affine map of a pixel's (red, green, blue); that of contrast too, as the mean grey that it keeps follows from the
mean colour. What differs from `contrapose_image.colour`: the hue turns in YIQ, which keeps luminance, not in HSV, which keeps the
largest value; and values are clipped to [0, 1] at the end, not after each change.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from contrapose_image.colour import CONTRAST, HUE, SATURATION

GREY = np.array([0.2989, 0.587, 0.114])
"""torchvision's luminance."""
TO_YIQ = np.array([GREY, (0.5959, -0.2746, -0.3213), (0.2115, -0.5227, 0.3112)])
FROM_YIQ = np.linalg.inv(TO_YIQ)
KEPT = np.outer(FROM_YIQ[:, 0], TO_YIQ[0])
ALONG = np.eye(3) - KEPT
ACROSS = np.outer(FROM_YIQ[:, 1], TO_YIQ[2]) - np.outer(FROM_YIQ[:, 2], TO_YIQ[1])


def jittered_by_matrix(image: Tensor, factors: Sequence[float], order: Iterable[int]) -> Tensor:
    """(3, H, W) float32 in [0, 1], its changes made in the given order; ``factors`` and ``order`` are rows of `colour.jittered`."""
    flat = image.reshape(3, -1)
    matrix = torch.from_numpy(matrix_of(factors, order, flat.mean(dim=1).numpy()).astype(np.float32))
    return torch.addmm(matrix[:, 3:], matrix[:, :3], flat).clamp_(0, 1).view(image.shape)


def matrix_of(factors: Sequence[float], order: Iterable[int], mean: NDArray[Any]) -> NDArray[np.float64]:
    """The changes (3, 4) of an image of this ``mean`` (3,) colour: a matrix and, as its last column, what is added."""
    mean = np.append(mean, 1.0)
    made = np.eye(3, 4)
    for which in order:
        factor = factors[which]
        if which == HUE:
            made = (KEPT + math.cos(math.tau * factor) * ALONG + math.sin(math.tau * factor) * ACROSS) @ made
            continue
        grey = GREY @ made
        made = factor * made
        if which == SATURATION:
            made += (1 - factor) * grey
        elif which == CONTRAST:
            made[:, 3] += (1 - factor) * (grey @ mean)
    return made


def batch_jittered_by_matrix(images: Tensor, factors: Tensor, order: Tensor) -> Tensor:
    """`jittered_by_matrix` of (n, 3, H, W), each with its own factors and order (n, 4)."""
    flat = images.flatten(2)
    weights, kept, along, across = (torch.as_tensor(m).to(images) for m in (GREY, KEPT, ALONG, ACROSS))
    mean = torch.nn.functional.pad(flat.mean(dim=2), (0, 1), value=1.0)[:, None]  # (n, 1, 4)
    angle = math.tau * factors[:, HUE].view(-1, 1, 1)
    turn = kept + angle.cos() * along + angle.sin() * across
    made = torch.eye(3, 4, device=images.device).expand(len(images), 3, 4)
    last = torch.eye(4, device=images.device)[3]
    for which in order.view(-1, 4, 1, 1).unbind(dim=1):
        factor = factors.gather(1, which.flatten(1)).view(-1, 1, 1)
        grey = (weights @ made)[:, None]
        about = grey * (which == SATURATION) + (grey * mean).sum(dim=2, keepdim=True) * last * (which == CONTRAST)
        made = torch.where(which == HUE, turn @ made, torch.lerp(about, made, factor))
    return torch.baddbmm(made[:, :, 3:], made[:, :, :3], flat).clamp_(0, 1).view(images.shape)
