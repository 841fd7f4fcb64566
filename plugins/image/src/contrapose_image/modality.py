"""The modality: from a manifest's cell to an RGB array, to a batch, to a picture."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image as Picture
from torch import Tensor

from contrapose.data.cells import cell_name, read_bytes
from contrapose.errors import DataError
from contrapose.types import Suggestion
from contrapose_image.decode import EXTENSIONS, decode, size_of
from contrapose_image.pixels import to_array, to_tensor


class Image:
    """RGB images: uint8 arrays (H, W, 3) as loaded, float32 tensors (3, H, W) in [0, 1] as views return them."""

    name = "image"
    dtype = torch.float32
    extensions = EXTENSIONS

    def load(self, cells: Mapping[str, Any], root: Path) -> NDArray[np.uint8]:
        """One cell: a path below ``root`` or the bytes of a picture file. Raises ``DataError`` for one that can't be decoded."""
        if len(cells) != 1:
            raise DataError(f"an image comes from one column, not from {len(cells)} ({', '.join(cells)})")
        cell = next(iter(cells.values()))
        return decode(read_bytes(cell, root), cell_name(cell, "an image"))

    def collate(self, items: Sequence[Any]) -> Tensor:
        """Images of one size to float32 (n, 3, H, W) in [0, 1]. Raises ``DataError`` where sizes differ."""
        tensors = [to_tensor(item) for item in items]
        sizes = sorted({tuple(t.shape[1:]) for t in tensors})
        if len(sizes) > 1:
            (h, w), (other_h, other_w) = sizes[0], sizes[-1]
            raise DataError(
                f"images of {w} x {h} and {other_w} x {other_h} pixels can't be one batch: "
                "give them one size by image/resize or a crop"
            )
        batch = torch.stack(tensors)
        if batch.amax() > 16:  # views may leave [0, 1] by a little, but not by this
            raise DataError(f"float images hold values in [0, 1], but these reach {batch.amax():.0f}: divide by 255")
        return batch

    def preview(self, data: Any) -> dict[str, bytes]:
        """``image/png``: the image itself, values outside [0, 1] clipped."""
        file = io.BytesIO()
        Picture.fromarray(to_array(data)).save(file, "PNG")
        return {"image/png": file.getvalue()}

    def suggest(self, columns: Mapping[str, Sequence[Any]], root: Path, small: bool) -> Suggestion | None:
        """The first column of picture files or of their bytes, with SimCLR's views at a size that suits the pictures."""
        name = next((name for name, values in columns.items() if _are_pictures(values)), None)
        if name is None:
            return None
        side = min((_shorter_side(value, root) for value in columns[name][:8]), default=224)
        if side > 96 and not small:
            return Suggestion([name], {"use": "image/simclr", "size": 224}, "image/resnet18")
        views = {"use": "image/simclr-cifar", "size": 32 if side <= 40 else 64}
        return Suggestion([name], views, "image/small" if small else {"use": "image/resnet18", "stem": "cifar"})


def _are_pictures(values: Sequence[Any]) -> bool:
    if all(isinstance(v, str) for v in values):
        return sum(v.lower().endswith(EXTENSIONS) for v in values) > 0.9 * len(values)
    return all(isinstance(v, bytes) and size_of(v) is not None for v in values[:8])


def _shorter_side(cell: bytes | str, root: Path) -> int:
    try:
        size = size_of(read_bytes(cell, root))
    except DataError:
        size = None
    return min(size) if size else 224
