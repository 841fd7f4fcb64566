"""The steps on a whole batch, on its device: what each image gets is drawn first, then applied to all at once.

Every step takes (n, 3, H, W), uint8 or float of any precision, and returns float32 in [0, 1]; it is of the distribution of its
namesake in `contrapose_image.steps`, whose ``batched`` form it is. Draws come from a ``torch.Generator`` of the images' device.
Nothing waits for that device, and nothing loops over images.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as tvf

from contrapose_image.arguments import Colour, Interpolation, NotNegative, Probability, Range, Size, Turn
from contrapose_image.boxes import crop_boxes
from contrapose_image.colour import either, jittered
from contrapose_image.matrices import batch_jittered_by_matrix
from contrapose_image.pixels import to_batch
from contrapose_image.resample import resized_crops


def random_resized_crop(
    images: Tensor,
    generator: torch.Generator,
    size: Size = 224,
    scale: Range = (0.08, 1.0),
    ratio: Range = (3 / 4, 4 / 3),
    interpolation: Interpolation = "bilinear",
) -> Tensor:
    """`steps.random_resized_crop` of each image."""
    images = to_batch(images)
    n, _, height, width = images.shape
    return resized_crops(images, crop_boxes(n, height, width, generator, scale, ratio), size, interpolation)


def flip(images: Tensor, generator: torch.Generator, p: Probability = 0.5) -> Tensor:
    """`steps.flip` of each image."""
    images = to_batch(images)
    return either(_chosen(images, generator, p), images.flip(-1), images)


def color_jitter(
    images: Tensor,
    generator: torch.Generator,
    brightness: NotNegative = 0.8,
    contrast: NotNegative = 0.8,
    saturation: NotNegative = 0.8,
    hue: Turn = 0.2,
    p: Probability = 0.8,
    colour: Colour = "exact",
) -> Tensor:
    """`steps.color_jitter` of each image."""
    images = to_batch(images)
    chosen = _chosen(images, generator, p).flatten()
    *draws, turn = _uniform(len(images), 4, generator).unbind(dim=1)
    factors = []
    for amount, draw in zip((brightness, contrast, saturation), draws, strict=True):
        least = max(0.0, 1 - amount)
        factors.append(torch.where(chosen, least + draw * (1 + amount - least), 1.0))
    factors.append(torch.where(chosen, (2 * turn - 1) * hue, 0.0))
    order = _uniform(len(images), 4, generator).argsort(dim=1)
    if colour == "matrix":
        return batch_jittered_by_matrix(images, torch.stack(factors, dim=1), order)
    return jittered(images, torch.stack(factors, dim=1), order, hue=hue > 0)


def grayscale(images: Tensor, generator: torch.Generator, p: Probability = 0.2) -> Tensor:
    """`steps.grayscale` of each image."""
    images = to_batch(images)
    return either(_chosen(images, generator, p), tvf.rgb_to_grayscale(images), images)


def blur(
    images: Tensor,
    generator: torch.Generator,
    p: Probability = 0.5,
    sigma: Range = (0.1, 2.0),
    kernel: Size | None = None,
) -> Tensor:
    """`steps.blur` of each image."""
    images = to_batch(images)
    chosen = _chosen(images, generator, p).flatten()
    drawn = sigma[0] + _uniform(len(images), 1, generator)[:, 0] * (sigma[1] - sigma[0])
    return gaussian_blurred(images, kernel or max(3, images.shape[-2] // 10), torch.where(chosen, drawn, 0.0))


def solarize(images: Tensor, generator: torch.Generator, p: Probability = 0.2, threshold: Probability = 0.5) -> Tensor:
    """`steps.solarize` of each image."""
    images = to_batch(images)
    return either(_chosen(images, generator, p) & (images >= threshold), 1 - images, images)


def resize(
    images: Tensor, generator: torch.Generator, size: Size = 224, interpolation: Interpolation = "bilinear"
) -> Tensor:
    """`steps.resize` of all images."""
    images = to_batch(images)
    if images.shape[-2:] == (size, size):
        return images
    return tvf.resize(images, [size, size], interpolation=InterpolationMode(interpolation), antialias=True).clamp_(0, 1)


def gaussian_blurred(images: Tensor, kernel: int, sigma: Tensor) -> Tensor:
    """Each of (n, 3, H, W) blurred by its own ``sigma`` (n,) as `steps.gaussian_blurred` does; unchanged where that is 0."""
    height, width = images.shape[-2:]
    half = min(kernel // 2, width - 1, height - 1)  # reflection needs as many pixels
    offsets = torch.arange(-half, half + 1, device=images.device)
    taps = torch.exp(-0.5 * (offsets / sigma.clamp(min=1e-6)[:, None]) ** 2)
    taps = (taps / taps.sum(dim=1, keepdim=True)).repeat_interleave(3, dim=0)[:, None, None]
    channels = F.pad(images, (half, half, half, half), mode="reflect").flatten(0, 1)[None]  # each with its own kernel
    groups = channels.shape[1]
    return F.conv2d(F.conv2d(channels, taps, groups=groups), taps.mT, groups=groups).view(images.shape)


def _uniform(count: int, columns: int, generator: torch.Generator) -> Tensor:
    return torch.rand(count, columns, generator=generator, device=generator.device)


def _chosen(images: Tensor, generator: torch.Generator, p: float) -> Tensor:
    """(n, 1, 1, 1) bool: which images something is done to."""
    return (_uniform(len(images), 1, generator) < p).view(-1, 1, 1, 1)
