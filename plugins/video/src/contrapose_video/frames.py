"""The generator that does to each frame of a clip what a view of pictures does, by the same draws for all of them."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.random import Generator
from torch import Tensor

from contrapose import view
from contrapose.config import build
from contrapose.errors import ConfigError, DataError
from contrapose.types import Sample, View
from contrapose.views import Compose
from contrapose.views.compose import made_modality
from contrapose_video.arguments import Count, Positive, Probability
from contrapose_video.pixels import to_clip, to_frames


@view("video")
class Frames:
    """A view of pictures on every frame: ``{use: video/frames, view: {use: image/simclr, size: 112}}``.

    Frame by frame the view meets the state of randomness that it met with the first, so a clip has one crop, one jitter and its
    order, one blur: exact for every view whose draws don't depend on what a picture shows. Frames are never joined into one
    picture, so that no blur reaches from one into the next. The result is float32 (3, T, H', W').

    Args:
        view: a view of pictures by name, ``{use: name, **arguments}``, or a list of them; ``image/...`` needs contrapose-image.
        per: ``clip`` for one draw a clip, ``frame`` for one a frame.
        size: of the frames, handed to those of the views that take a ``size`` and weren't given one; `video/eval` takes it too.

    Raises ``ConfigError`` for a view that makes several, or is none of pictures, ``DataError`` where it gives another size a frame.
    """

    modality = "video"

    def __init__(self, view: Any, per: Literal["clip", "frame"] = "clip", size: Count | None = None) -> None:
        told = {} if size is None else {"size": size}
        nodes = list(view) if isinstance(view, list | tuple) else [view]
        if not nodes:
            raise ConfigError("an empty list of views of pictures", ("view",))
        parts = [build("view", node, ("view",), modality="image", **told) for node in nodes]
        made: Any = Compose(parts) if len(parts) > 1 else parts[0]
        if made.modality != "image" or made_modality(made) != "image" or getattr(made, "view_names", ()):
            raise ConfigError(f"{made!r} is no view of one picture that gives one picture", ("view",))
        if hasattr(parts[0], "refresh") or any(hasattr(part, "fit") for part in parts):
            raise ConfigError(f"{made!r} learns from pictures, which clips have none of", ("view",))
        self.view, self.per = made, per

    def __call__(self, sample: Sample, rng: Generator) -> list[View]:
        """The clip, frame by frame."""
        frames = _frames(sample.data["video"])
        state = rng.bit_generator.state
        done = []
        for frame in frames:
            if self.per == "clip":
                rng.bit_generator.state = state
            (made,) = self.view(Sample(sample.id, {"image": frame}, sample.meta), rng)
            done.append(_picture(made.data))
        if len({tuple(picture.shape) for picture in done}) > 1:
            raise DataError(f"{self.view!r} gave frames of several sizes")
        return [View("", "video", torch.stack(done, dim=1))]

    def __repr__(self) -> str:
        return f"video/frames({self.view!r}, per={self.per})"


@view("video")
def crop(
    clip: Any,
    rng: Generator,
    size: Count = 112,
    scale: tuple[Positive, Positive] = (0.3, 1.0),
    ratio: tuple[Positive, Positive] = (0.5, 2.0),
    flip: Probability = 0.5,
) -> Tensor:
    """Cut one random rectangle out of all frames, resize it to ``size`` x ``size``, and mirror all or none of them.

    Args:
        size: side of the result in pixels.
        scale: share of the area, uniform; CVRL's.
        ratio: width over height, uniform in its logarithm; CVRL's.
        flip: probability; 0 where left and right mean something, as turns do.

    Raises ``ConfigError`` for a range whose end is below its beginning.
    """
    for name, (low, high) in {"scale": scale, "ratio": ratio}.items():
        if high < low:
            raise ConfigError(f"video/crop: {name} goes from {low:g} to {high:g}, which is less", (name,))
    whole = _planes(clip)
    top, left, rows, columns = _box(whole.shape[-2], whole.shape[-1], rng, scale, ratio)
    made = _resized(whole[..., top : top + rows, left : left + columns], size)
    return _as_clip(made.flip(-1) if rng.random() < flip else made)


def central(data: Any, size: int) -> Tensor:
    """The middle square of each frame, brought to ``size`` pixels: float32 (3, T, size, size)."""
    whole = _planes(data)
    side = min(whole.shape[-2:])
    top, left = (whole.shape[-2] - side) // 2, (whole.shape[-1] - side) // 2
    return _as_clip(_resized(whole[..., top : top + side, left : left + side], size))


def _planes(data: Any) -> Tensor:
    """A clip of either layout as (T, 3, H, W), uint8 or float32, without a copy. Raises ``DataError``."""
    if isinstance(data, np.ndarray) and data.ndim == 4 and data.dtype == np.uint8 and data.shape[-1] == 3:
        return torch.from_numpy(data).permute(0, 3, 1, 2)
    return to_clip(data).transpose(0, 1)


def _resized(planes: Tensor, size: int) -> Tensor:
    """(T, 3, H, W) to (T, 3, size, size), antialiased; 8 bits are resized to 8 bits, in a fraction of the time."""
    if planes.shape[-2:] == (size, size):
        return planes
    return F.interpolate(planes, (size, size), mode="bilinear", antialias=True)


def _as_clip(planes: Tensor) -> Tensor:
    """(T, 3, H, W) to float32 (3, T, H, W) in [0, 1]; 8 bits are put in order before they are four times as long."""
    made = planes.transpose(0, 1).contiguous()
    return made.float().div_(255) if made.dtype == torch.uint8 else made.clamp(0, 1)


def _frames(data: Any) -> Any:
    """Frames as views of pictures take them: uint8 (H, W, 3) or float (3, H, W)."""
    if isinstance(data, Tensor) and data.is_floating_point():
        return to_clip(data).unbind(dim=1)
    to_clip(data[:1]) if isinstance(data, np.ndarray) else to_clip(data)  # says what is wrong with anything else
    return to_frames(data)


def _picture(data: Any) -> Tensor:
    tensor = data if isinstance(data, Tensor) else torch.from_numpy(np.ascontiguousarray(data))
    if tensor.ndim == 3 and tensor.dtype == torch.uint8 and tensor.shape[-1] == 3:
        return tensor.permute(2, 0, 1).float().div_(255)
    return tensor.float()


def _box(
    height: int, width: int, rng: Generator, scale: tuple[float, float], ratio: tuple[float, float]
) -> tuple[int, int, int, int]:
    """Top, left, height and width of a random rectangle (Szegedy et al., 2015); the largest in the middle after ten tries."""
    for _ in range(10):
        area = height * width * rng.uniform(*scale)
        shape = math.exp(rng.uniform(math.log(ratio[0]), math.log(ratio[1])))
        columns, rows = round(math.sqrt(area * shape)), round(math.sqrt(area / shape))
        if 0 < columns <= width and 0 < rows <= height:
            return int(rng.integers(height - rows + 1)), int(rng.integers(width - columns + 1)), rows, columns
    columns = min(width, max(1, round(height * ratio[1])))
    rows = min(height, max(1, round(width / ratio[0])))
    return (height - rows) // 2, (width - columns) // 2, rows, columns
