"""Meshes: what a reader returns, and even sampling of their surface."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.floating]


@dataclass(frozen=True, slots=True)
class Mesh:
    """``vertices`` (V, 3) float and ``faces`` (F, 3) int64, which index them."""

    vertices: Points
    faces: NDArray[np.int64]


def fan(polygons: list[NDArray[np.int64]]) -> NDArray[np.int64]:
    """Triangles (F, 3) of polygons, each cut from its first corner; those with fewer than three corners are left out."""
    parts = [np.stack([np.full(len(p) - 2, p[0]), p[1:-1], p[2:]], axis=1) for p in polygons if len(p) >= 3]
    return np.concatenate(parts).astype(np.int64) if parts else np.zeros((0, 3), np.int64)


def sample_surface(mesh: Mesh, count: int, rng: np.random.Generator) -> Points:
    """Draw ``count`` points (count, 3) evenly over the surface: a face by its area, then a uniform place within it.

    Raises ``ValueError`` where faces name vertices that aren't there, or the mesh has no area.
    """
    faces = mesh.faces
    if len(faces) and (faces.min() < 0 or faces.max() >= len(mesh.vertices)):
        raise ValueError(f"a face names vertex {faces.max()}, but there are {len(mesh.vertices)}")
    corners = mesh.vertices.astype(np.float64)[faces]
    a, b, c = corners[:, 0], corners[:, 1], corners[:, 2]
    areas = np.nan_to_num(np.linalg.norm(np.cross(b - a, c - a), axis=1), posinf=0.0)
    if not areas.sum() > 0:
        raise ValueError("the mesh has no face with an area")
    chosen = np.searchsorted(np.cumsum(areas), rng.random(count) * areas.sum(), side="right").clip(max=len(areas) - 1)
    root, along = np.sqrt(rng.random((count, 1))), rng.random((count, 1))
    return (1 - root) * a[chosen] + root * (1 - along) * b[chosen] + root * along * c[chosen]
