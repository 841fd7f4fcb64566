"""Meshes: what a reader returns, and even sampling of their surface."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.floating]


@dataclass(frozen=True, slots=True)
class Mesh:
    """``vertices`` (V, 3) float, ``faces`` (F, 3) int64, which index them, and ``colours`` (V, 3) in [0, 1] where asked for."""

    vertices: Points
    faces: NDArray[np.int64]
    colours: Points | None = None


class Sampled(np.ndarray):
    """Points (N, 3 + C) that know the ``mesh`` they were sampled from. Whatever is computed from them doesn't: it was moved."""

    mesh: Mesh | None = None

    def __new__(cls, points: Points, mesh: Mesh) -> Sampled:
        """``points``, without a copy."""
        made = np.asarray(points).view(cls)
        made.mesh = mesh
        return made

    def __reduce__(self) -> str | tuple[Any, ...]:
        points = np.asarray(self)
        return points.__reduce__() if self.mesh is None else (Sampled, (points, self.mesh))


def fan(polygons: list[NDArray[np.int64]]) -> NDArray[np.int64]:
    """Triangles (F, 3) of polygons, each cut from its first corner; those with fewer than three corners are left out."""
    parts = [np.stack([np.full(len(p) - 2, p[0]), p[1:-1], p[2:]], axis=1) for p in polygons if len(p) >= 3]
    return np.concatenate(parts).astype(np.int64) if parts else np.zeros((0, 3), np.int64)


def sample_surface(mesh: Mesh, count: int, rng: np.random.Generator, normals: bool = False) -> Points:
    """Draw ``count`` points evenly over the surface: a face by its area, then a uniform place within it.

    Returns (count, 3), with the unit normals (3) of their faces after that where asked for, by the order of the corners, and the
    colours (3), linear between the corners', where the mesh has some. Raises ``ValueError`` where faces name vertices that aren't
    there, or the mesh has no area.
    """
    faces = mesh.faces
    if len(faces) and (faces.min() < 0 or faces.max() >= len(mesh.vertices)):
        raise ValueError(f"a face names vertex {faces.max()}, but there are {len(mesh.vertices)}")
    corners = mesh.vertices.astype(np.float64)[faces]
    across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    areas = np.nan_to_num(np.linalg.norm(across, axis=1), posinf=0.0)
    if not areas.sum() > 0:
        raise ValueError("the mesh has no face with an area")
    chosen = np.searchsorted(np.cumsum(areas), rng.random(count) * areas.sum(), side="right").clip(max=len(areas) - 1)
    root, along = np.sqrt(rng.random(count)), rng.random(count)
    weights = np.stack([1 - root, root * (1 - along), root * along], axis=1)
    made = [between(corners[chosen], weights)]
    if normals:
        made.append(across[chosen] / areas[chosen, None])
    if mesh.colours is not None:
        made.append(between(mesh.colours[faces[chosen]], weights))
    return np.concatenate(made, axis=1)


def joined(xyz: Any, normals: Any = None, colours: Any = None) -> Points:
    """Points (N, 3 + C) of coordinates, normals and colours, each (N, 3) or None. Raises ``ValueError`` for one that is empty."""
    parts = {"coordinates": xyz, "normals": normals, "colours": colours}
    arrays = {name: np.asarray(part, dtype=np.float64) for name, part in parts.items() if part is not None}
    lacking = next((name for name, part in arrays.items() if len(part) != len(arrays["coordinates"])), None)
    if lacking:
        raise ValueError(f"its points have no {lacking}")
    return np.concatenate(list(arrays.values()), axis=1)


def between(corners: Points, weights: Points) -> Points:
    """What lies between the corners (N, 3, C) of triangles, by weights (N, 3) that sum to 1: (N, C)."""
    mixed: Points = np.einsum("nkc,nk->nc", corners, weights)
    return mixed
