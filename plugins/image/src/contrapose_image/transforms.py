"""Any transform of torchvision as a view, by its name."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms import v2

from contrapose import view
from contrapose.errors import DataError
from contrapose.types import Sample, View
from contrapose_image import named
from contrapose_image.named import Node
from contrapose_image.pixels import to_tensor

REFUSED = {
    "Lambda": "a config runs no code",
    "Normalize": "each encoder normalises by itself",
    **dict.fromkeys(("CutMix", "MixUp"), "it mixes a batch and its labels"),
    **dict.fromkeys(("FiveCrop", "TenCrop"), "it makes several pictures"),
}
"""Transforms that are no view of one picture, and why."""


@view("image")
class Torchvision:
    """A transform of ``torchvision.transforms.v2``, as its documentation tells, on float (3, H, W) in [0, 1].

    So ``RandomSolarize``'s threshold is 0.5, not 128. Arguments stand beside the name: ``transform: {use: RandomPerspective,
    distortion_scale: 0.3, p: 1.0}``; ``transforms`` of ``RandomApply``, ``RandomChoice``, ``RandomOrder`` and ``Compose`` is a list
    of the same. What torchvision draws from torch's global generator is seeded by ``rng`` and leaves that generator as it was.
    The result is clipped to [0, 1].

    Args:
        transform: name of the transform, or ``{use: name, **arguments}``.

    Raises ``ConfigError`` for an unknown name or argument and for what is no view of one picture, ``DataError`` where a picture
    can't be transformed.
    """

    modality = "image"

    def __init__(self, transform: Node) -> None:
        self.transform = named.transform(transform, "torchvision", _known(), REFUSED)

    def __call__(self, sample: Sample, rng: np.random.Generator) -> list[View]:
        """The picture, transformed: float32 (3, H', W')."""
        image = to_tensor(sample.data["image"])
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(int(rng.integers(2**63)))  # torch.manual_seed would seed devices too
            try:
                made = self.transform(image.clone())  # some may work in place
            except Exception as error:  # any of some fifty transforms
                raise DataError(f"torchvision's {self.transform}: {' '.join(str(error).split())}") from error
        if not isinstance(made, Tensor) or made.ndim != 3 or len(made) != 3:
            gave = tuple(made.shape) if isinstance(made, Tensor) else type(made).__name__
            raise DataError(f"torchvision's {self.transform} gave no picture (3, H, W), but {gave}")
        return [View("", "image", to_tensor(made).clamp(0, 1))]

    def __repr__(self) -> str:
        return f"image/torchvision({' '.join(repr(self.transform).split())})"


def _jpeg(quality: int | Sequence[int]) -> v2.Transform:
    """Torchvision's ``JPEG``, the only one that takes nothing but uint8."""
    before, after = v2.ToDtype(torch.uint8, scale=True), v2.ToDtype(torch.float32, scale=True)
    return v2.Compose([before, v2.JPEG(quality), after])


def _known() -> dict[str, Callable[..., v2.Transform]]:
    found = {n: c for n, c in vars(v2).items() if isinstance(c, type) and issubclass(c, v2.Transform)}
    return {n: c for n, c in found.items() if c is not v2.Transform and n not in REFUSED} | {"JPEG": _jpeg}
