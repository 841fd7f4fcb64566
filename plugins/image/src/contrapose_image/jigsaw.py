"""The jigsaw puzzle: a picture as nine shuffled tiles."""

from __future__ import annotations

import numpy as np

from contrapose import view
from contrapose.errors import ConfigError
from contrapose.types import Sample, View
from contrapose_image.arguments import Size
from contrapose_image.steps import flip, random_resized_crop

SIDE = 3
NAMES = tuple(f"patch_{i}" for i in range(SIDE * SIDE))


@view("image", names=NAMES)
class Jigsaw:
    """Nine tiles of one crop in random order, PIRL's puzzle (Misra & van der Maaten 2020, section 3.2; Noroozi & Favro 2016).

    As in PyContrast's PIRL: crop (0.6, 1) resized to ``size``, flip, 3 x 3 cells, and in each cell a ``tile`` x ``tile`` crop at a
    place of its own, so that no edge runs on from tile to tile; colours stay, as there. ``patch_0`` to ``patch_8`` are float32
    (3, tile, tile) in the order in which the tiles are shown, another for each draw. A list puts colours before it:
    ``[image/color-jitter, image/jigsaw]``.

    Args:
        size: side of the crop in pixels; 48 suits pictures of 32.
        tile: side of a tile in pixels, at most a cell's ⌊size / 3⌋ (64 of 85); 14 suits a size of 48.

    Raises ``ConfigError`` where a tile is larger than a cell.
    """

    modality = "image"

    def __init__(self, size: Size = 255, tile: Size = 64) -> None:
        self.size, self.tile, self.cell = size, tile, size // SIDE
        if tile > self.cell:
            raise ConfigError(
                f"a tile of {tile} is larger than a cell, {self.cell} of {size} pixels; lower it", ("tile",)
            )

    def __call__(self, sample: Sample, rng: np.random.Generator) -> list[View]:
        """The views ``patch_0`` to ``patch_8``."""
        image = flip(random_resized_crop(sample.data["image"], rng, size=self.size, scale=(0.6, 1.0)), rng)
        shifts = rng.integers(self.cell - self.tile + 1, size=(SIDE * SIDE, 2))
        made = []
        for name, place in zip(NAMES, rng.permutation(SIDE * SIDE), strict=True):
            top, left = self.cell * np.array(divmod(place, SIDE)) + shifts[place]
            made.append(View(name, "image", image[:, top : top + self.tile, left : left + self.tile]))
        return made

    def __repr__(self) -> str:
        return f"image/jigsaw(size={self.size}, tile={self.tile})"
