"""The modality: from a manifest's cell to a float32 array of points, to a batch, to a picture."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from contrapose.data.cells import cell_name, cell_path, read_bytes
from contrapose.errors import ContraposeError, DataError
from contrapose.types import Suggestion
from contrapose_pointcloud.formats.mesh import Mesh, Points, sample_surface
from contrapose_pointcloud.formats.read import EXTENSIONS, read
from contrapose_pointcloud.picture import draw

MOST_COLUMNS = 9
"""Coordinates, colour and normal; an array of more is hardly a cloud, so `suggest` doesn't claim it."""


class PointCloud:
    """Point clouds: float32 arrays (N, 3 + C), coordinates with y up, then C features of each point. N may differ.

    A mesh becomes ``mesh_points`` points, even by area and the same each time. Points with a coordinate that is no finite
    number are left out, as depth sensors write them for what they can't see.
    """

    name = "pointcloud"
    dtype = torch.float32
    extensions = EXTENSIONS

    def __init__(self, mesh_points: int = 2048) -> None:
        self.mesh_points = mesh_points

    def load(self, cells: Mapping[str, Any], root: Path) -> NDArray[np.float32]:
        """One cell: a path below ``root``, the bytes of a file, or an array (N, 3 + C).

        Raises ``DataError`` for a file that can't be read or has no point, ``PluginError`` where open3d is needed and lacks.
        """
        if len(cells) != 1:
            raise DataError(f"a point cloud comes from one column, not from {len(cells)} ({', '.join(cells)})")
        cell = next(iter(cells.values()))
        where = cell_name(cell, "a point cloud")
        if isinstance(cell, (np.ndarray, list, tuple)):
            return _checked(np.asarray(cell), where)
        data = read_bytes(cell, root)
        found = read(data, cell_name(cell, ""), cell_path(cell, root) if isinstance(cell, str) else None)
        if isinstance(found, Mesh):
            try:
                found = sample_surface(found, self.mesh_points, np.random.default_rng(0))
            except ValueError as error:
                raise DataError(f"{where}: {error}") from error
        return _checked(found, where)

    def collate(self, items: Sequence[Any]) -> Tensor:
        """Clouds (N, 3 + C), each of the same shape, to float32 (n, N, 3 + C). Raises ``DataError`` where they differ."""
        tensors = [torch.as_tensor(np.asarray(item, dtype=np.float32)) for item in items]
        shapes = sorted({tuple(t.shape) for t in tensors})
        if len({shape[1:] for shape in shapes}) > 1:
            raise DataError(f"point clouds with unlike columns, {shapes[0]} and {shapes[-1]}, can't be one batch")
        if len(shapes) > 1:
            raise DataError(
                f"point clouds of {shapes[0][0]} and {shapes[-1][0]} points can't be one batch: "
                "make their number equal by pointcloud/resample"
            )
        return torch.stack(tensors)

    def preview(self, data: Any) -> dict[str, bytes]:
        """``image/png``, 112 px: the cloud fitted to the frame, seen from above its front, coloured by height."""
        file = io.BytesIO()
        Image.fromarray(draw(np.asarray(data, dtype=np.float32)[:, :3], size=112)).save(file, "PNG")
        return {"image/png": file.getvalue()}

    def suggest(self, columns: Mapping[str, Sequence[Any]], root: Path, small: bool) -> Suggestion | None:
        """The first column of clouds or meshes, as files, bytes or arrays, with CrossPoint's views."""
        name = next((name for name, values in columns.items() if self._are_clouds(values, root)), None)
        if name is None:
            return None
        if small:
            views = {"use": "pointcloud/crosspoint", "points": 256}
            return Suggestion([name], views, {"use": "pointcloud/pointnet", "width": 0.5, "emb": 256})
        return Suggestion([name], {"use": "pointcloud/crosspoint", "points": 1024}, "pointcloud/dgcnn")

    def _are_clouds(self, values: Sequence[Any], root: Path) -> bool:
        """By the files' names; where anything could be in them, and in bytes and lists, by the first."""
        if not values:
            return False
        if all(isinstance(v, str) for v in values):
            names = [v.lower() for v in values]
            if sum(n.endswith(EXTENSIONS) for n in names) <= 0.9 * len(names):
                return False
            if not names[0].endswith((".npy", ".npz")):
                return True
        try:
            return self.load({"": values[0]}, root).shape[1] <= MOST_COLUMNS
        except (ContraposeError, ValueError):
            return False


def _checked(points: Points, where: str) -> NDArray[np.float32]:
    if points.ndim != 2 or points.shape[1] < 3 or points.dtype.kind not in "fiu":
        raise DataError(f"{where}: points must be numbers (N, 3 or more), not {points.dtype} {points.shape}")
    with np.errstate(over="ignore"):
        points = points.astype(np.float32)
    points = points[np.isfinite(points).all(axis=1)]
    if not len(points):
        raise DataError(f"{where}: no point with finite coordinates")
    return np.ascontiguousarray(points)
