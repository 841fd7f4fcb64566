"""What a clip is: uint8 (T, H, W, 3) as decoded, float32 (3, T, H, W) in [0, 1] in a batch."""

from __future__ import annotations

import io
import math
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from contrapose.errors import DataError
from contrapose_video.footage import Footage, Frames

SHOWN = 9


def to_clip(data: Any) -> Tensor:
    """uint8 (T, H, W, 3), array or tensor, or a tensor (3, T, H, W) to float32 (3, T, H, W). Raises ``DataError``."""
    if isinstance(data, Footage):
        raise DataError(
            "a video isn't decoded until a view chooses frames: begin with video/clip, or another of that kind"
        )
    tensor = data if isinstance(data, Tensor) else torch.from_numpy(np.ascontiguousarray(data))
    if tensor.ndim == 4 and tensor.dtype == torch.uint8 and tensor.shape[-1] == 3:
        return tensor.permute(3, 0, 1, 2).float().div_(255)
    if tensor.ndim == 4 and tensor.is_floating_point() and tensor.shape[0] == 3:
        return tensor.float()
    raise DataError(
        f"a clip is uint8 (T, H, W, 3) or a float tensor (3, T, H, W), not {tensor.dtype} {tuple(tensor.shape)}"
    )


def to_frames(data: Any) -> Frames:
    """The inverse: uint8 (T, H, W, 3), values outside [0, 1] clipped."""
    if isinstance(data, np.ndarray) and data.dtype == np.uint8:
        return data
    clip = to_clip(data).clamp(0, 1)
    return np.asarray((clip * 255).round().to(torch.uint8).permute(1, 2, 3, 0).numpy())


def sheet(frames: Frames) -> bytes:
    """A PNG of frames (T, H, W, 3), row by row, about as wide as high: what shows it may have square places."""
    count, height, width, _ = frames.shape
    columns = min(count, max(1, round(math.sqrt(count * height / width))))
    rows = -(-count // columns)
    places = np.full((rows * columns, height, width, 3), 255, np.uint8)
    places[:count] = frames
    made = places.reshape(rows, columns, height, width, 3).swapaxes(1, 2).reshape(rows * height, columns * width, 3)
    return _saved(Image.fromarray(made), "PNG")


def animation(frames: Frames, interval: float) -> bytes:
    """A GIF that shows each frame for ``interval`` seconds, over and over."""
    first, *others = [Image.fromarray(frame) for frame in frames]
    return _saved(first, "GIF", save_all=True, append_images=others, duration=max(20, round(1000 * interval)), loop=0)


def evenly(count: int, most: int = SHOWN) -> np.ndarray:
    """At most ``most`` numbers below ``count``, evenly spread."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(np.int64))


def _saved(picture: Any, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()
