"""Any transform of torchvision as a view, by its name."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms import v2

from contrapose import view
from contrapose.config.build import bind
from contrapose.errors import ConfigError, DataError, did_you_mean
from contrapose.types import Sample, View
from contrapose_image.pixels import to_tensor

Node = str | dict[str, Any]
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
        self.transform = _made(transform, ("transform",))

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


def _made(node: Node, path: tuple[str | int, ...]) -> v2.Transform:
    """The transform that a node says, those in its ``transforms`` made first."""
    arguments = dict(node) if isinstance(node, dict) else {"use": node}
    name = str(arguments.pop("use", ""))
    known = _known()
    if name not in known:
        raise ConfigError(f"torchvision.transforms.v2 has no transform {name!r}{did_you_mean(name, known)}", path)
    if name in REFUSED:
        raise ConfigError(f"torchvision's {name} is no view: {REFUSED[name]}", path)
    if isinstance(parts := arguments.get("transforms"), list):
        arguments["transforms"] = [_made(part, (*path, "transforms", i)) for i, part in enumerate(parts)]
    bound = bind(known[name], arguments, path, f"torchvision's {name}")
    try:
        made = known[name](**bound)
    except Exception as error:  # each checks its arguments in its own way
        raise ConfigError(f"torchvision's {name}: {' '.join(str(error).split())}", path) from error
    if isinstance(made, v2.JPEG):  # the only one that takes nothing but uint8
        return v2.Compose([v2.ToDtype(torch.uint8, scale=True), made, v2.ToDtype(torch.float32, scale=True)])
    return made


def _known() -> dict[str, type[v2.Transform]]:
    found = {n: c for n, c in vars(v2).items() if isinstance(c, type) and issubclass(c, v2.Transform)}
    return {name: kind for name, kind in found.items() if kind is not v2.Transform}
