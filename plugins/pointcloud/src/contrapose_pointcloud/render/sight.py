"""What a camera sees of points or of a mesh, pixel by pixel, and the picture that it makes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from contrapose_pointcloud.formats.external import import_open3d
from contrapose_pointcloud.formats.mesh import Mesh, between
from contrapose_pointcloud.render.camera import Camera, fitted
from contrapose_pointcloud.render.relief import normals_of, smooth
from contrapose_pointcloud.render.splat import occlusion, splat

Array = NDArray[np.floating]
Mode = Literal["shaded", "depth", "normals"]
SHARPER = 2
"""Pixels along a side of each of a shaded picture, whose mean it is, so that edges are smooth."""

_GREY = np.full(3, 0.82)
_LIGHT = np.array([-0.35, 0.6, 0.72]) / np.linalg.norm([-0.35, 0.6, 0.72])  # from above the camera's left shoulder
_AMBIENT = 0.4
_EDL = 0.15
_BULGE, _STEP = 0.3, 2.5  # in radii: how far a ball stands out, and what differs by more is another surface


@dataclass(frozen=True, slots=True)
class Sight:
    """``depth`` (H, W) in [0, 2], inf where nothing is; ``light`` (H, W) in [0, 1]; ``colours`` (H, W, 3) in [0, 1].

    ``normals`` (H, W, 3) are unit vectors that face the eye, by the camera's axes: x right, y up, z to the eye.
    """

    depth: Array
    light: Array
    colours: Array
    normals: Array

    def picture(self, mode: Mode) -> NDArray[np.uint8]:
        """uint8 (H, W, 3). Depth: from 255, the nearest that can be, to 55, in three equal channels; nothing is 0.

        Normals: (n + 1) / 2 of 255; nothing is 0. Shaded: half as large, on white.
        """
        there = np.isfinite(self.depth)[..., None]
        if mode == "depth":
            grey = np.where(there, 255 - 100 * np.where(there, self.depth[..., None], 0), 0)
            return np.repeat(grey, 3, axis=2).round().astype(np.uint8)
        if mode == "normals":
            return np.where(there, (self.normals + 1) / 2 * 255, 0).round().astype(np.uint8)
        shaded = np.where(there, self.colours * self.light[..., None], 1.0)
        side = len(shaded) // SHARPER
        mean = shaded.reshape(side, SHARPER, side, SHARPER, 3).mean(axis=(1, 3))
        return (mean * 255).round().clip(0, 255).astype(np.uint8)


def of_points(
    xyz: Array, normals: Array | None, colours: Array | None, camera: Camera, size: int, radius: float
) -> Sight:
    """Points (N, 3) within the unit ball as balls of ``radius``, whose depths are smoothed to a surface.

    Without normals (N, 3), those of that surface.
    """
    place, depth, enlarged = camera.project(xyz)
    centre = place * [1, -1] * size / 2 + (size - 1) / 2
    pixels = np.maximum(radius * enlarged * size / 2, 0.5)
    number, nearest, _ = splat(centre, depth, pixels, np.full(len(xyz), _BULGE * radius), size)
    step = _STEP * radius
    at = smooth(nearest, step, int(np.clip(1.2 * np.median(pixels), 2, 12)))
    if normals is None:
        facing = normals_of(at, camera, step)
    else:
        facing = _to_the_eye(normals @ camera.axes.T, xyz @ camera.axes.T, camera)[number]
    paint = np.broadcast_to(_GREY, (size, size, 3)) if colours is None else colours[number]
    return Sight(at, _lit(facing) * occlusion(at, _EDL), paint, facing)


def of_mesh(mesh: Mesh, camera: Camera, size: int) -> Sight:
    """The mesh, fitted into the unit ball, by rays (open3d's ``RaycastingScene``), both sides of each face.

    Raises ``PluginError`` where open3d can't be imported.
    """
    open3d = import_open3d("rendering a mesh")
    vertices = mesh.vertices.astype(np.float64)
    faces = mesh.faces[np.isfinite(vertices[mesh.faces]).all(axis=(1, 2))]
    middle, farthest = fitted(vertices[faces].reshape(-1, 3))
    scene = open3d.t.geometry.RaycastingScene(nthreads=1)
    scene.add_triangles(((vertices - middle) / farthest).astype(np.float32), faces.astype(np.uint32))
    rays = camera.rays(size)
    hit = {name: found.numpy() for name, found in scene.cast_rays(rays.astype(np.float32)).items()}
    depth = hit["t_hit"].astype(np.float64)
    there = np.isfinite(depth)
    normals = hit["primitive_normals"] @ camera.axes.T
    where = (rays[..., :3] + np.where(there, depth, 0)[..., None] * rays[..., 3:]) @ camera.axes.T
    normals = _to_the_eye(normals.reshape(-1, 3), where.reshape(-1, 3), camera).reshape(size, size, 3)
    paint = np.broadcast_to(_GREY, (size, size, 3)).copy()
    if mesh.colours is not None:
        u, v = np.moveaxis(hit["primitive_uvs"][there].astype(np.float64), -1, 0)
        corners = mesh.colours[faces[hit["primitive_ids"][there]]]
        paint[there] = between(corners, np.stack([1 - u - v, u, v], axis=1))
    return Sight(depth, _lit(normals) * occlusion(depth, _EDL), paint, normals)


def _to_the_eye(normals: Array, places: Array, camera: Camera) -> Array:
    """Normals (N, 3) at places (N, 3), both by the camera's axes, turned round where they look away: nothing is inside out."""
    eye = np.array([0, 0, camera.distance]) - places if camera.fov else np.array([0.0, 0.0, 1.0])
    away = (normals * eye).sum(axis=1) < 0
    return np.where(away[:, None], -normals, normals)


def _lit(normals: Array) -> Array:
    light: Array = _AMBIENT + (1 - _AMBIENT) * np.maximum(normals @ _LIGHT, 0)
    return light
