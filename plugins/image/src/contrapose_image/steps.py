"""The steps of image recipes, one function a step, each a view generator of its own.

Every step takes uint8 (H, W, 3) or float (3, H, W), draws its parameters from ``rng`` with torchvision's distributions, applies
them with torchvision's kernels, and returns float32 (3, H, W) in [0, 1]. Nothing reads a global random state. Given (n, 3, H, W)
with a ``torch.Generator``, each does the same to a batch (`contrapose_image.batched`).
"""

from __future__ import annotations

import math

import numpy as np
import torch.nn.functional as F
from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as tvf

from contrapose import view
from contrapose_image import batched
from contrapose_image.arguments import Colour, Interpolation, NotNegative, Probability, Range, Size, Turn
from contrapose_image.boxes import crop_box
from contrapose_image.colour import hue_turned
from contrapose_image.matrices import jittered_by_matrix
from contrapose_image.pixels import Image, planes, to_tensor


@view("image", batched=batched.random_resized_crop)
def random_resized_crop(
    image: Image,
    rng: np.random.Generator,
    size: Size = 224,
    scale: Range = (0.08, 1.0),
    ratio: Range = (3 / 4, 4 / 3),
    interpolation: Interpolation = "bilinear",
) -> Tensor:
    """Cut out a random rectangle and resize it to ``size`` x ``size``, antialiased (Szegedy et al., 2015).

    Args:
        size: side of the result in pixels.
        scale: share of the area, uniform.
        ratio: width over height, uniform in its logarithm.
        interpolation: how to resize.
    """
    return resized_crop(image, _crop_box(image, rng, scale, ratio), size, interpolation)


@view("image", batched=batched.flip)
def flip(image: Image, rng: np.random.Generator, p: Probability = 0.5) -> Tensor:
    """Mirror left and right with probability ``p``."""
    image = to_tensor(image)
    return image.flip(-1) if rng.random() < p else image


@view("image", batched=batched.color_jitter)
def color_jitter(
    image: Image,
    rng: np.random.Generator,
    brightness: NotNegative = 0.8,
    contrast: NotNegative = 0.8,
    saturation: NotNegative = 0.8,
    hue: Turn = 0.2,
    p: Probability = 0.8,
    colour: Colour = "exact",
) -> Tensor:
    """With probability ``p``, change brightness, contrast, saturation and hue, in random order.

    Args:
        brightness: factor uniform in [max(0, 1 - brightness), 1 + brightness]; as of SimCLR v2, not additive.
        contrast: likewise, about the mean grey.
        saturation: likewise, about the pixel's grey.
        hue: turn uniform in [-hue, hue] of the colour circle, at most 0.5.
        p: probability that anything happens.
        colour: "exact" is torchvision's; "matrix" does the four by one matrix, several times faster, and nearly as
            (`contrapose_image.matrices`).
    """
    tensor = to_tensor(image)
    if rng.random() >= p:
        return tensor
    factors = [rng.uniform(max(0.0, 1 - amount), 1 + amount) for amount in (brightness, contrast, saturation)]
    factors.append(rng.uniform(-hue, hue))
    if colour == "matrix":
        return jittered_by_matrix(tensor, factors, rng.permutation(4))
    for which in rng.permutation(4):
        if (brightness, contrast, saturation, hue)[which]:
            tensor = _JITTERS[which](tensor, factors[which])
    return tensor


@view("image", batched=batched.grayscale)
def grayscale(image: Image, rng: np.random.Generator, p: Probability = 0.2) -> Tensor:
    """With probability ``p``, take the colours away; three equal channels stay."""
    image = to_tensor(image)
    return tvf.rgb_to_grayscale(image, num_output_channels=3) if rng.random() < p else image


@view("image", batched=batched.blur)
def blur(
    image: Image,
    rng: np.random.Generator,
    p: Probability = 0.5,
    sigma: Range = (0.1, 2.0),
    kernel: Size | None = None,
) -> Tensor:
    """With probability ``p``, blur by a Gaussian, reflecting at the borders.

    Args:
        p: probability.
        sigma: standard deviation in pixels, uniform.
        kernel: width of the kernel, raised to odd; by default SimCLR's 10 % of the image's height (23 for 224).
    """
    image = to_tensor(image)
    if rng.random() >= p:
        return image
    return gaussian_blurred(image, kernel or max(3, image.shape[-2] // 10), rng.uniform(*sigma))


@view("image", batched=batched.solarize)
def solarize(image: Image, rng: np.random.Generator, p: Probability = 0.2, threshold: Probability = 0.5) -> Tensor:
    """With probability ``p``, invert every value that is at least ``threshold``."""
    image = to_tensor(image)
    return tvf.solarize(image, threshold) if rng.random() < p else image


@view("image", batched=batched.resize)
def resize(
    image: Image, rng: np.random.Generator, size: Size = 224, interpolation: Interpolation = "bilinear"
) -> Tensor:
    """Resize to ``size`` x ``size`` whatever the proportions, antialiased. Not random."""
    return resized(to_tensor(image), size, size, interpolation)


def resized_crop(image: Image, box: tuple[int, int, int, int], size: int, interpolation: Interpolation) -> Tensor:
    """The box (top, left, height, width) of an image, resized to ``size`` x ``size``."""
    return resized(_crop(image, *box), size, size, interpolation)


def resized(image: Image, height: int, width: int, interpolation: Interpolation = "bilinear") -> Tensor:
    """Float (3, height, width) in [0, 1]; what bicubic overshoots is clipped.

    8-bit images are resized to 8 bits, as pillow does: a tenth of the time.
    """
    before = planes(image)
    if before.shape[-2:] == (height, width):
        return to_tensor(before)
    mode = InterpolationMode(interpolation)
    made = to_tensor(tvf.resize(before, [height, width], interpolation=mode, antialias=True).contiguous())
    return made.clamp_(0, 1) if before.is_floating_point() else made


def gaussian_blurred(image: Tensor, kernel: int, sigma: float) -> Tensor:
    """torchvision's ``gaussian_blur`` of (3, H, W), as sums of shifted rows and columns: several times faster on a CPU.

    Beyond five deviations a kernel holds less than a millionth, which isn't summed up.
    """
    half = min(kernel // 2, image.shape[-1] - 1, image.shape[-2] - 1)  # reflection needs as many pixels
    half = min(half, math.ceil(5 * sigma))
    weights = np.exp(-0.5 * (np.arange(-half, half + 1) / sigma) ** 2)
    weights = (weights / weights.sum()).tolist()
    height, width = image.shape[-2:]
    padded = F.pad(image, (half, half, half, half), mode="reflect")
    rows = padded[:, :, :width] * weights[0]
    for i, weight in enumerate(weights[1:], 1):
        rows.add_(padded[:, :, i : i + width], alpha=weight)
    columns = rows[:, :height] * weights[0]
    for i, weight in enumerate(weights[1:], 1):
        columns.add_(rows[:, i : i + height], alpha=weight)
    return columns


_JITTERS = (tvf.adjust_brightness, tvf.adjust_contrast, tvf.adjust_saturation, hue_turned)


def _crop_box(image: Image, rng: np.random.Generator, scale: Range, ratio: Range) -> tuple[int, int, int, int]:
    height, width = image.shape[-2:] if isinstance(image, Tensor) else image.shape[:2]
    return crop_box(height, width, rng, scale, ratio)


def _crop(image: Image, top: int, left: int, height: int, width: int) -> Image:
    where = slice(top, top + height), slice(left, left + width)
    return image[:, *where] if isinstance(image, Tensor) else image[where]
