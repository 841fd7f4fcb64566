"""Crops whose centres are drawn where the encoder finds something."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from contrapose import view
from contrapose.clock import Clock
from contrapose.errors import ConfigError
from contrapose.types import Sample, View
from contrapose_image.arguments import Interpolation, Positive, Range, Size
from contrapose_image.boxes import crop_box
from contrapose_image.steps import resize, resized_crop

Share = Annotated[float, Field(ge=0, lt=1)]
Epochs = Annotated[int, Field(ge=0)]


@view("image")
class ContrastiveCrop:
    """A random resized crop within what the encoder finds (ContrastiveCrop, Peng et al. 2022, algorithm 1; arXiv:2202.03278).

    Size and proportions are those of ``image/random-resized-crop``. From epoch ``start`` on, and every ``every`` epochs, each
    training picture is seen as a whole, resized to ``size``; the sum over channels of the encoder's last feature map, between its
    least and its largest value, is its heat map, and its box holds what is above ``threshold`` (section 3.2). A crop's centre lies
    in the box, by Beta(``alpha``, ``alpha``) along either axis, so that it is rather at the rim than in the middle (section 3.3).
    Before, and for pictures that weren't looked at, it is the plain crop.

    Args:
        size: side of the result in pixels.
        scale: share of the area, uniform.
        ratio: width over height, uniform in its logarithm.
        alpha: less than 1 favours the rim, 1 is uniform.
        threshold: k of the paper.
        start: epochs before the first look.
        every: epochs between looks.
        of: the table of feature maps: a trained branch and the encoder's tap, a square of places row by row.
        interpolation: how to resize.

    Raises ``ConfigError`` where ``of`` has no square of places.
    """

    modality = "image"

    def __init__(
        self,
        size: Size = 224,
        scale: Range = (0.2, 1.0),
        ratio: Range = (3 / 4, 4 / 3),
        alpha: Positive = 0.6,
        threshold: Share = 0.1,
        start: Epochs = 20,
        every: Size = 20,
        of: str = "online.dense",
        interpolation: Interpolation = "bilinear",
    ) -> None:
        self.size, self.scale, self.ratio, self.interpolation = size, scale, ratio, interpolation
        self.alpha, self.threshold, self.start, self.every, self.of = alpha, threshold, start, every, of
        self.boxes = np.zeros((0, 4), np.float32)
        """A row a sample id: top, left, bottom, right, as shares of the picture; all 0 where it wasn't looked at."""

    def __call__(self, sample: Sample, rng: np.random.Generator) -> list[View]:
        """One view: float32 (3, size, size)."""
        image = sample.data["image"]
        height, width = image.shape[-2:] if isinstance(image, Tensor) else image.shape[:2]
        top, left, h, w = crop_box(height, width, rng, self.scale, self.ratio)
        if sample.id < len(self.boxes) and self.boxes[sample.id].any():
            low, before, high, behind = self.boxes[sample.id].tolist()
            top = self._start(height, h, low, high, rng)
            left = self._start(width, w, before, behind, rng)
        return [View("", "image", resized_crop(image, (top, left, h, w), self.size, self.interpolation))]

    def _start(self, full: int, length: int, low: float, high: float, rng: np.random.Generator) -> int:
        """Where a crop begins whose centre is drawn in [low, high] of an axis, kept within the picture."""
        first = min(max(int(full * low) - length // 2, 0), full - length)
        last = max(min(int(full * high) - length // 2, full - length), first)
        return first + int((last - first) * rng.beta(self.alpha, self.alpha))

    def refresh(self, look: Any, clock: Clock) -> bool:
        """Find the boxes anew where it is time (``types.ViewGenerator``)."""
        epoch = int(clock.epoch)
        if epoch < self.start or (epoch - self.start) % self.every:
            return False
        found: dict[int, NDArray[np.float32]] = {}
        for rows in look(resize(size=self.size, interpolation=self.interpolation), self.of):
            samples, places = rows.meta["sample"].unique_consecutive(return_counts=True)
            maps = heat_maps(rows.z, len(samples), int(places[0]))
            boxes = heat_boxes(maps, self.size, self.threshold).cpu().numpy()
            found |= dict(zip(samples.tolist(), boxes, strict=True))
        self.boxes = np.zeros((max(found, default=-1) + 1, 4), np.float32)
        for sample, box in found.items():
            self.boxes[sample] = box
        return True

    def state_dict(self) -> dict[str, Any]:
        """The boxes, once there are some."""
        return {"boxes": self.boxes} if len(self.boxes) else {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        self.boxes = np.asarray(state["boxes"], np.float32)

    def __repr__(self) -> str:
        return f"image/contrastive-crop(size={self.size}, scale={self.scale}, start={self.start}, every={self.every})"


def heat_maps(z: Tensor, count: int, places: int) -> Tensor:
    """Feature maps, a row (count * places, D) a place, to heat maps (count, side, side) in [0, 1].

    Raises ``ConfigError`` where the places of a picture are no square.
    """
    side = math.isqrt(places)
    if side < 2 or side * side != places or len(z) != count * places:
        raise ConfigError(f"a heat map needs a square of places, 4 or more, and there are {places} a picture", ("of",))
    maps = z.view(count, places, -1).sum(dim=2)
    least, most = maps.amin(dim=1, keepdim=True), maps.amax(dim=1, keepdim=True)
    return ((maps - least) / (most - least).clamp(min=1e-12)).view(count, side, side)


def heat_boxes(maps: Tensor, size: int, threshold: float) -> Tensor:
    """The box (count, 4) of what is hotter in each map (count, side, side), enlarged to ``size``.

    Top, left, bottom, right in [0, 1]; the whole picture where nothing is.
    """
    hot = F.interpolate(maps[:, None], (size, size), mode="bilinear")[:, 0] > threshold
    ends = []
    for axis in (hot.any(dim=2), hot.any(dim=1)):
        first, last = axis.byte().argmax(dim=1), size - axis.flip(1).byte().argmax(dim=1)
        ends.append((first / size, last / size))
    (top, bottom), (left, right) = ends
    return torch.stack([top, left, bottom, right], dim=1).float()
