"""Any transform of albumentations (Buslaev et al., 2020) as a view, by its name."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np

from contrapose import view
from contrapose.errors import ConfigError, DataError
from contrapose.types import Sample, View
from contrapose_image import named
from contrapose_image.named import Node
from contrapose_image.pixels import to_array, to_tensor

REFUSED = {
    "Lambda": "a config runs no code",
    "Normalize": "each encoder normalises by itself",
    **dict.fromkeys(("FromFloat", "ToFloat", "ToTensorV2", "ToTensor3D"), "views are tensors already"),
    **dict.fromkeys(
        ("FDA", "HistogramMatching", "Mosaic", "OverlayElements", "PixelDistributionAdaptation", "TextImage"),
        "it needs more than one picture",
    ),
}
"""Transforms that are no view of one picture, and why."""
GROUPS = ("OneOf", "RandomOrder", "Sequential", "SomeOf")


@view("image")
class Albumentations:
    """A transform of albumentations, as its documentation tells, on uint8 (H, W, 3).

    Arguments stand beside the name: ``transform: {use: GridDistortion, num_steps: 4, p: 1.0}``; ``transforms`` of ``OneOf``,
    ``SomeOf``, ``RandomOrder`` and ``Sequential`` is a list of the same. All chance comes from ``rng``. A float picture is rounded
    to 8 bits.

    Args:
        transform: name of the transform, or ``{use: name, **arguments}``.

    Raises ``ConfigError`` where albumentations isn't installed, for an unknown name or argument and for what is no view of one
    picture, ``DataError`` where a picture can't be transformed.
    """

    modality = "image"

    def __init__(self, transform: Node) -> None:
        library = _library()
        made = named.transform(transform, "albumentations", _known(library), REFUSED)
        self.name = " ".join(repr(made).split())
        self.transform = library.Compose([made])

    def __call__(self, sample: Sample, rng: np.random.Generator) -> list[View]:
        """The picture, transformed: float32 (3, H', W')."""
        image = to_array(sample.data["image"])
        self.transform.set_random_state(rng, random.Random(int(rng.integers(2**63))))
        try:
            made = self.transform(image=image)["image"]
        except Exception as error:  # any of some hundred transforms
            raise DataError(f"albumentations' {self.name}: {' '.join(str(error).split())}") from error
        return [View("", "image", to_tensor(made).clamp(0, 1))]

    def __repr__(self) -> str:
        return f"image/albumentations({self.name})"


def _library() -> Any:
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # or its import asks a server for a newer version
    try:
        return import_module("albumentations")
    except ModuleNotFoundError as error:
        if error.name is None or not error.name.startswith("albumentations"):
            raise
        raise ConfigError("needs albumentations: pip install 'contrapose-image[albumentations]'") from None


def _known(library: Any) -> dict[str, Callable[..., Any]]:
    """What is no volume's and no base class."""
    bases = (library.BasicTransform, library.ImageOnlyTransform, library.DualTransform, library.Transform3D)
    found = {n: c for n, c in vars(library).items() if isinstance(c, type) and issubclass(c, library.BasicTransform)}
    known = {n: c for n, c in found.items() if c not in bases and not issubclass(c, library.Transform3D)}
    return {n: c for n, c in known.items() if n not in REFUSED} | {n: getattr(library, n) for n in GROUPS}
