"""The modality: from a manifest's cell to a float32 array of points, to a batch, to a picture."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from pydantic import Field
from torch import Tensor

from contrapose.data.cells import cell_name, cell_path, read_bytes
from contrapose.errors import ContraposeError, DataError
from contrapose.types import Suggestion
from contrapose_pointcloud.arguments import Count
from contrapose_pointcloud.cache import Arrays, Cache, digest
from contrapose_pointcloud.formats.external import thin
from contrapose_pointcloud.formats.mesh import Mesh, Points, Sampled, sample_surface
from contrapose_pointcloud.formats.read import EXTENSIONS, read
from contrapose_pointcloud.picture import draw

MOST_COLUMNS = 9
"""Coordinates, colour and normal; an array of more is hardly a cloud, so `suggest` doesn't claim it."""


POOL = 5
"""Points drawn for each that sampling by Poisson disks keeps, as open3d's default has it."""

FARTHEST = 1e18
"""Coordinates beyond it are no place: their squares are too large for float32."""


class PointCloud:
    """Point clouds: float32 arrays (N, 3 + C), coordinates with y up, then C features of each point. N may differ.

    The columns are x, y, z, then a unit normal (3) with ``normals``, a colour (3) in [0, 1] with ``colours``, then what else an
    array has. A mesh becomes ``mesh_points`` points, even by area and the same each time. Points with a value that is no finite
    number are left out, as depth sensors write them for what they can't see.

    Args:
        mesh_points: how many points are sampled of a mesh.
        sample: ``uniform``, each for itself, or ``poisson``, no two of them close together (by open3d).
        normals: columns 3 to 5 are normals. Meshes have those of their faces, files and arrays must have them.
        colours: the next three columns are colours. Files and arrays must have them.
        most_points: a cloud of more is thinned to so many as it is read, at random, the same each time.
        keep_mesh: the points of a mesh keep it, to be rendered (`pointcloud/render`, ``of: mesh``).
        cache: keep what was read in this folder, or, for true, below ``CONTRAPOSE_CACHE``.
    """

    name = "pointcloud"
    dtype = torch.float32
    extensions = EXTENSIONS

    def __init__(
        self,
        mesh_points: Count = 2048,
        sample: Literal["uniform", "poisson"] = "uniform",
        normals: bool = False,
        colours: bool = False,
        most_points: Annotated[int, Field(ge=1)] = 1_000_000,
        keep_mesh: bool = False,
        cache: bool | str = False,
    ) -> None:
        self.mesh_points, self.sample = mesh_points, sample
        self.normals, self.colours = normals, colours
        self.most_points, self.keep_mesh = most_points, keep_mesh
        self.cache = Cache(cache) if cache else None

    def facts(self) -> dict[str, Any]:
        """``normals`` and ``colours``, for views, and ``channels`` with either, for encoders, which then read them too."""
        columns = 3 + 3 * self.normals + 3 * self.colours
        return {"normals": self.normals, "colours": self.colours} | ({"channels": columns} if columns > 3 else {})

    def load(self, cells: Mapping[str, Any], root: Path) -> NDArray[np.float32]:
        """One cell: a path below ``root``, the bytes of a file, or an array (N, 3 + C).

        Raises ``DataError`` for a file that can't be read, has no point or lacks what is asked for, ``PluginError`` where open3d is
        needed and lacks.
        """
        if len(cells) != 1:
            raise DataError(f"a point cloud comes from one column, not from {len(cells)} ({', '.join(cells)})")
        cell = next(iter(cells.values()))
        if isinstance(cell, (np.ndarray, list, tuple)):
            return self._checked(np.asarray(cell), "a point cloud")
        if self.cache is None:
            return _unpacked(self._read(cell, root))
        return _unpacked(self.cache.get((*self._arguments, *_identity(cell, root)), lambda: self._read(cell, root)))

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

    @property
    def _arguments(self) -> tuple[Any, ...]:
        """All of a cache's key but the file."""
        sampling = self.mesh_points, self.sample, self.most_points
        return *sampling, self.normals, self.colours, self.keep_mesh

    def _read(self, cell: bytes | str, root: Path) -> Arrays:
        """``points``, and, of a mesh that is kept, its arrays."""
        where = cell_name(cell, "a point cloud")
        path = cell_path(cell, root) if isinstance(cell, str) else None
        found = read(read_bytes(cell, root), cell_name(cell, ""), path, self.normals, self.colours)
        if not isinstance(found, Mesh):
            return {"points": self._checked(found, where)}
        try:
            points = self._checked(self._sampled(found), where)
        except ValueError as error:
            raise DataError(f"{where}: {error}") from error
        if not self.keep_mesh:
            return {"points": points}
        kept: dict[str, NDArray[Any]] = {"vertices": found.vertices.astype(np.float32), "faces": found.faces}
        return {"points": points, **kept} | ({} if found.colours is None else {"colours": found.colours})

    def _sampled(self, mesh: Mesh) -> Points:
        rng = np.random.default_rng(0)
        if self.sample == "uniform":
            return sample_surface(mesh, self.mesh_points, rng, self.normals)
        return thin(sample_surface(mesh, POOL * self.mesh_points, rng, self.normals), mesh, self.mesh_points)

    def _checked(self, points: Points, where: str) -> NDArray[np.float32]:
        if points.ndim != 2 or points.shape[1] < 3 or points.dtype.kind not in "fiu":
            raise DataError(f"{where}: points must be numbers (N, 3 or more), not {points.dtype} {points.shape}")
        wanted = self.facts().get("channels", 3)
        if points.shape[1] < wanted:
            asked = " and ".join(name for name in ("normals", "colours") if getattr(self, name))
            raise DataError(f"{where}: with {asked} points have {wanted} columns or more, not {points.shape[1]}")
        if len(points) > self.most_points:  # before anything is computed of all of them
            chosen = np.random.default_rng(0).choice(len(points), self.most_points, replace=False, shuffle=False)
            points = points[np.sort(chosen)]
        with np.errstate(over="ignore"):
            points = points.astype(np.float32)
        points = points[np.isfinite(points).all(axis=1)]
        if not len(points):
            raise DataError(f"{where}: no point with finite coordinates")
        if np.abs(points[:, :3]).max() > FARTHEST:
            raise DataError(f"{where}: coordinates reach {np.abs(points[:, :3]).max():.0e}, more than {FARTHEST:.0e}")
        if self.normals:
            points[:, 3:6] /= np.maximum(np.linalg.norm(points[:, 3:6], axis=1, keepdims=True), 1e-12)
        if self.colours and not ((paint := points[:, wanted - 3 : wanted]).min() >= 0 and paint.max() <= 1):
            raise DataError(f"{where}: colours are in [0, 1], but these reach from {paint.min():g} to {paint.max():g}")
        return np.ascontiguousarray(points)


def _unpacked(arrays: Arrays) -> NDArray[np.float32]:
    points: NDArray[np.float32] = arrays["points"]
    if "faces" not in arrays:
        return points
    return Sampled(points, Mesh(arrays["vertices"], arrays["faces"], arrays.get("colours")))


def _identity(cell: bytes | str, root: Path) -> tuple[Any, ...]:
    """What tells a file from others without reading it: its path, size and time; of bytes, their name and digest."""
    if not isinstance(cell, str):
        return cell_name(cell, ""), digest(cell) if isinstance(cell, bytes) else cell
    path = cell_path(cell, root)
    try:
        found = path.stat()
    except (OSError, ValueError):
        return (cell,)  # reading it will say what is wrong
    return str(path.resolve()), found.st_size, found.st_mtime_ns
