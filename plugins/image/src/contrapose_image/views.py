"""Recipes: the published augmentations of a method as one view generator each, exact to their papers.

Made of steps that have a batched form, they have one too: the same lines, drawing from a ``torch.Generator``. All of them resize
bilinearly but BYOL's and DINO's, which are bicubic, and leave normalisation to the encoder.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field
from torch import Tensor
from torchvision.transforms.v2 import functional as tvf

from contrapose import view
from contrapose_image import eight_bit
from contrapose_image.arguments import Colour, Range, RecipeColour, Size
from contrapose_image.pixels import Image, Rng, to_tensor
from contrapose_image.steps import (
    blur,
    color_jitter,
    flip,
    grayscale,
    random_resized_crop,
    resize,
    resized,
    solarize,
)

Strength = Annotated[float, Field(ge=0, le=2.5)]  # hue is 0.2 of it, and at most 0.5
Share = Annotated[float, Field(gt=0, le=1)]

WHOLE: Range = (0.08, 1.0)
KERNEL = 23
"""Width of the blur in multi-crop, whatever the crop's size: SwAV's. DINO's, by pillow, isn't cut either where crops are small."""


@view("image", batched=True)
def simclr(
    image: Image, rng: Rng, size: Size = 224, strength: Strength = 1.0, colour: RecipeColour = "exact"
) -> Tensor:
    """SimCLR on ImageNet (Chen et al., 2020): crop (0.08, 1), flip, jitter, gray, blur half the time.

    Args:
        size: side of the result in pixels.
        strength: s of the paper; jitter is (0.8, 0.8, 0.8, 0.2) s with probability 0.8.
        colour: "matrix" is a faster jitter that is nearly the same (``image/color-jitter``); "8-bit" does that and all else on
            8-bit pictures, by OpenCV, which it needs: several times faster where pictures are large (``batched``: as "matrix").
    """
    if colour == "8-bit":
        if (made := eight_bit.simclr(image, rng, size, strength, blurred=0.5)) is not None:
            return made
        colour = "matrix"
    return blur(_simclr_colours(image, rng, size, strength, colour=colour), rng, p=0.5)


@view("image", batched=True)
def simclr_cifar(
    image: Image, rng: Rng, size: Size = 32, strength: Strength = 0.5, colour: RecipeColour = "exact"
) -> Tensor:
    """SimCLR on CIFAR (Chen et al., 2020, appendix B.9): as on ImageNet, at strength 0.5 and without blur.

    Args:
        size: side of the result in pixels.
        strength: s of the paper.
        colour: "matrix" is a faster jitter that is nearly the same (``image/color-jitter``); "8-bit" does that and all else on
            8-bit pictures, by OpenCV, which it needs: several times faster where pictures are large (``batched``: as "matrix").
    """
    if colour == "8-bit":
        if (made := eight_bit.simclr(image, rng, size, strength, blurred=0.0)) is not None:
            return made
        colour = "matrix"
    return _simclr_colours(image, rng, size, strength, colour=colour)


@view("image", batched=True)
def moco_v1(image: Image, rng: Rng, size: Size = 224) -> Tensor:
    """MoCo v1 (He et al., 2020, section 3.3): crop (0.2, 1), gray, jitter (0.4, 0.4, 0.4, 0.4) always, flip; no blur."""
    image = grayscale(random_resized_crop(image, rng, size=size, scale=(0.2, 1.0)), rng, p=0.2)
    return flip(color_jitter(image, rng, brightness=0.4, contrast=0.4, saturation=0.4, hue=0.4, p=1.0), rng)


@view("image", batched=True)
def moco_v2(image: Image, rng: Rng, size: Size = 224) -> Tensor:
    """MoCo v2 (Chen et al., 2020): crop (0.2, 1), jitter (0.4, 0.4, 0.4, 0.1), gray, blur half the time, flip."""
    image = random_resized_crop(image, rng, size=size, scale=(0.2, 1.0))
    image = color_jitter(image, rng, brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1, p=0.8)
    return flip(blur(grayscale(image, rng, p=0.2), rng, p=0.5), rng)


@view("image", batched=True)
def byol_a(image: Image, rng: Rng, size: Size = 224) -> Tensor:
    """The first view of BYOL (Grill et al., 2020, appendix B): always blurred, never solarized. Goes with ``image/byol-b``.

    The two are also the views of Barlow Twins and VICReg; MoCo v3 has its own (``image/moco-v3-a``).
    """
    return blur(_byol_colours(image, rng, size), rng, p=1.0)


@view("image", batched=True)
def byol_b(image: Image, rng: Rng, size: Size = 224) -> Tensor:
    """The second view of BYOL (Grill et al., 2020, appendix B): blurred with 0.1, solarized with 0.2."""
    return solarize(blur(_byol_colours(image, rng, size), rng, p=0.1), rng, p=0.2)


@view("image", batched=True)
def moco_v3_a(image: Image, rng: Rng, size: Size = 224, least: Share = 0.2) -> Tensor:
    """The first view of MoCo v3 (Chen et al., 2021): BYOL's, resized bilinearly and flipped last. Goes with ``image/moco-v3-b``.

    Args:
        size: side of the result in pixels.
        least: least share of the area: 0.2 is the authors' for ResNet-50, 0.08 for transformers, as their parser says.
    """
    return flip(blur(_moco_v3_colours(image, rng, size, least), rng, p=1.0), rng)


@view("image", batched=True)
def moco_v3_b(image: Image, rng: Rng, size: Size = 224, least: Share = 0.2) -> Tensor:
    """The second view of MoCo v3 (Chen et al., 2021): blurred with 0.1, solarized with 0.2.

    Args:
        size: side of the result in pixels.
        least: as of ``image/moco-v3-a``.
    """
    return flip(solarize(blur(_moco_v3_colours(image, rng, size, least), rng, p=0.1), rng, p=0.2), rng)


@view("image", batched=True)
def swav_global(image: Image, rng: Rng, size: Size = 224) -> Tensor:
    """A global crop of SwAV (Caron et al., 2020): crop (0.14, 1), then SimCLR's flip, colours and blur. Two, and six local."""
    return _swav(image, rng, size, (0.14, 1.0))


@view("image", batched=True)
def swav_local(image: Image, rng: Rng, size: Size = 96) -> Tensor:
    """A local crop of SwAV (Caron et al., 2020): a small one of (0.05, 0.14), otherwise as ``image/swav-global``."""
    return _swav(image, rng, size, (0.05, 0.14))


@view("image", batched=True)
def dino_global_1(image: Image, rng: Rng, size: Size = 224) -> Tensor:
    """The first global crop of DINO (Caron et al., 2021): crop (0.4, 1), BYOL's flip and colours, always blurred."""
    return blur(_byol_colours(image, rng, size, (0.4, 1.0)), rng, p=1.0, kernel=KERNEL)


@view("image", batched=True)
def dino_global_2(image: Image, rng: Rng, size: Size = 224) -> Tensor:
    """The second global crop of DINO (Caron et al., 2021): as the first, but blurred with 0.1 and solarized with 0.2."""
    image = blur(_byol_colours(image, rng, size, (0.4, 1.0)), rng, p=0.1, kernel=KERNEL)
    return solarize(image, rng, p=0.2)


@view("image", batched=True)
def dino_local(image: Image, rng: Rng, size: Size = 96) -> Tensor:
    """A local crop of DINO (Caron et al., 2021): a small one of (0.05, 0.4), BYOL's flip and colours, blurred half the time."""
    return blur(_byol_colours(image, rng, size, (0.05, 0.4)), rng, p=0.5, kernel=KERNEL)


@view("image", batched=True)
def crosspoint(image: Image, rng: Rng, size: Size = 224) -> Tensor:
    """The picture's side of CrossPoint (Afham et al., 2022): resize, jitter (0.4, 0.4, 0.4) always, flip; no crop."""
    image = color_jitter(
        resize(image, rng, size=size), rng, brightness=0.4, contrast=0.4, saturation=0.4, hue=0.0, p=1.0
    )
    return flip(image, rng)


@view("image")
def evaluation(image: Image, rng: np.random.Generator, size: Size = 224, crop: Share = 0.875) -> Tensor:
    """The test view: resize so that the central ``size`` x ``size`` is ``crop`` of the shorter side, and take it. Not random.

    Args:
        size: side of the result in pixels.
        crop: 0.875 is 224 of 256 pixels; 1 keeps the whole shorter side.
    """
    image = to_tensor(image)
    height, width = image.shape[-2:]
    factor = round(size / crop) / min(height, width)
    image = resized(image, max(size, round(height * factor)), max(size, round(width * factor)))
    return tvf.center_crop(image, [size, size])


def _simclr_colours(
    image: Image, rng: Rng, size: int, strength: float, scale: Range = WHOLE, colour: Colour = "exact"
) -> Tensor:
    image = flip(random_resized_crop(image, rng, size=size, scale=scale), rng)
    s = 0.8 * strength
    image = color_jitter(image, rng, brightness=s, contrast=s, saturation=s, hue=0.2 * strength, p=0.8, colour=colour)
    return grayscale(image, rng, p=0.2)


def _swav(image: Image, rng: Rng, size: int, scale: Range) -> Tensor:
    return blur(_simclr_colours(image, rng, size, 1.0, scale), rng, p=0.5, kernel=KERNEL)


def _byol_colours(image: Image, rng: Rng, size: int, scale: Range = WHOLE) -> Tensor:
    image = flip(random_resized_crop(image, rng, size=size, scale=scale, interpolation="bicubic"), rng)
    image = color_jitter(image, rng, brightness=0.4, contrast=0.4, saturation=0.2, hue=0.1, p=0.8)
    return grayscale(image, rng, p=0.2)


def _moco_v3_colours(image: Image, rng: Rng, size: int, least: float) -> Tensor:
    image = random_resized_crop(image, rng, size=size, scale=(least, 1.0))
    image = color_jitter(image, rng, brightness=0.4, contrast=0.4, saturation=0.2, hue=0.1, p=0.8)
    return grayscale(image, rng, p=0.2)
