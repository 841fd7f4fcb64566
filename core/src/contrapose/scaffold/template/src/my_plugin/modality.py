"""The modality: from cells to data, from data to batches, and how a person sees them."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import torch
from contrapose import DataError
from contrapose.data import read_bytes


class MyModality:
    """Grids of numbers, float32 (H, W): ``.npy`` files, or lists of lists in the table itself."""

    name = "my_modality"
    dtype = torch.float32
    extensions = (".npy",)

    def load(self, cells: Mapping[str, Any], root: Path) -> np.ndarray:
        """The grid of a cell. Raises ``DataError`` in one line for what is none."""
        cell = next(iter(cells.values()))
        try:
            raw = np.load(io.BytesIO(read_bytes(cell, root))) if isinstance(cell, str | bytes) else cell
            grid = np.array(raw, dtype=np.float32)
        except (EOFError, TypeError, ValueError, BadZipFile) as error:
            raise DataError("not a grid of numbers") from error
        if grid.ndim != 2 or not grid.size:
            raise DataError(f"a grid has rows and columns, this has the shape {grid.shape}")
        return grid

    def collate(self, items: Sequence[np.ndarray]) -> torch.Tensor:
        """Grids of one shape to a batch (n, H, W)."""
        return torch.from_numpy(np.stack(items))

    def preview(self, data: np.ndarray) -> dict[str, bytes]:
        """The grid in colours."""
        from matplotlib.pyplot import imsave

        picture = io.BytesIO()
        imsave(picture, data, format="png", cmap="viridis")
        return {"image/png": picture.getvalue()}
