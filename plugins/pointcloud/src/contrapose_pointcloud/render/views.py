"""View generators that make pictures of clouds and of their meshes, and clips in which they turn.

A picture is uint8 (H, W, 3), as the modality ``image`` has them, a clip uint8 (T, H, W, 3). Named under the modality that they
make: ``views: {image: {use: pointcloud/render}}``. What is drawn is moved and scaled to fit the picture, alike for all cameras.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from contrapose import view
from contrapose.errors import ConfigError, DataError
from contrapose_pointcloud.arguments import Count, Points, Positive
from contrapose_pointcloud.cache import Cache, digest
from contrapose_pointcloud.formats.mesh import Sampled
from contrapose_pointcloud.render.camera import Camera, camera, fitted
from contrapose_pointcloud.render.relief import ball_radius
from contrapose_pointcloud.render.sight import SHARPER, Mode, of_mesh, of_points

Picture = NDArray[np.uint8]
Degrees = Annotated[float, Field(ge=-90, le=90)]
Fov = Annotated[float, Field(ge=0, le=120)]
Of = Literal["points", "mesh"]


@view("pointcloud", makes="image")
def render(
    cloud: Points,
    rng: np.random.Generator,
    size: Count = 64,
    mode: Mode = "shaded",
    of: Of = "points",
    cameras: Count = 24,
    azimuth: float = 0.0,
    elevation: tuple[Degrees, Degrees] = (0.0, 40.0),
    fov: Fov = 40.0,
    radius: Positive | None = None,
    cache: bool | str = False,
    normals: bool = False,
    colours: bool = False,
) -> Picture:
    """A picture (size, size, 3) uint8 of the cloud, or of its mesh, from one of ``cameras`` view points, drawn at random.

    Points are balls with a z-buffer, smoothed to a surface. At meshes open3d casts rays; they must have been kept (``keep_mesh:
    true`` of the modality), and are drawn as they were read, so nothing can come before this view in a list.

    Args:
        size: of the picture's sides, in pixels.
        mode: ``shaded`` on white; ``depth``, near is bright, nothing is black; ``normals`` by the
            camera's axes, x right, y up, z to the eye, each from -1 to 1.
        of: ``points`` or ``mesh``.
        cameras: how many view points there are, evenly around, at elevations that fill their range evenly; 1 for a fixed one.
        azimuth: of the first, in degrees: 0 in front (z), 90 at the right (x).
        elevation: lowest and highest, in degrees above the horizon; the first camera is in the middle between them.
        fov: angle of view in degrees; 0 for parallel rays.
        radius: of the balls, as a share of the radius of the whole; by default such that they close most surfaces
            (`relief.ball_radius`).
        cache: keep pictures in this folder, or, for true, below ``CONTRAPOSE_CACHE``: one a cloud and camera.
        normals: columns 3 to 5 are normals; the modality says it. Without, those of the smoothed surface are taken.
        colours: the next columns are colours; the modality says it.

    Raises ``DataError`` for the mesh of what has none, or wasn't kept, ``ConfigError`` for one that another view came before.
    """
    number = int(rng.integers(cameras))
    eyes = [camera(number, cameras, azimuth, elevation, fov)]
    return _drawn(cloud, eyes, size, mode, of, radius, cache, normals, colours)[0]


@view("pointcloud", makes="video")
def turntable(
    cloud: Points,
    rng: np.random.Generator,
    frames: Count = 16,
    size: Count = 64,
    mode: Mode = "shaded",
    of: Of = "points",
    azimuth: float | None = None,
    elevation: Degrees = 20.0,
    fov: Fov = 40.0,
    radius: Positive | None = None,
    cache: bool | str = False,
    normals: bool = False,
    colours: bool = False,
) -> Picture:
    """A clip (frames, size, size, 3) uint8 in which the camera goes once around, counter-clockwise from above.

    Args:
        frames: of the clip; the one after the last would be the first again.
        azimuth: of the first frame, in degrees; by default that of one of the frames at random.
        elevation: of all, in degrees above the horizon.

    The other arguments, and what is raised, are those of `render`.
    """
    first = 0 if azimuth is not None else int(rng.integers(frames))
    eyes = [Camera((azimuth or 0.0) + 360 * i / frames, elevation, fov) for i in range(frames)]
    clip = _drawn(cloud, eyes, size, mode, of, radius, cache, normals, colours)
    return np.roll(clip, -first, axis=0)


def _drawn(
    cloud: Points,
    eyes: list[Camera],
    size: int,
    mode: Mode,
    of: Of,
    radius: float | None,
    cache: bool | str,
    normals: bool,
    colours: bool,
) -> Picture:
    """The pictures (T, size, size, 3) from these cameras, from the cache where they are in one."""

    def make() -> dict[str, NDArray[Any]]:
        fine = size * SHARPER if mode == "shaded" else size
        if of == "mesh":
            mesh = _mesh(cloud)
            return {"pictures": np.stack([of_mesh(mesh, eye, fine).picture(mode) for eye in eyes])}
        middle, farthest = fitted(cloud[:, :3])
        xyz = (cloud[:, :3].astype(np.float64) - middle) / farthest
        facing = cloud[:, 3:6].astype(np.float64) if normals else None
        after = 3 + 3 * normals
        paint = cloud[:, after : after + 3].astype(np.float64) if colours else None
        ball = radius or ball_radius(xyz)
        xyz = xyz / (1 + ball)  # the balls too are within the picture
        return {"pictures": np.stack([of_points(xyz, facing, paint, eye, fine, ball).picture(mode) for eye in eyes])}

    if not cache:
        return make()["pictures"]
    facts = digest(cloud), eyes, size, mode, of, radius, normals, colours
    return Cache(cache).get(facts, make)["pictures"]


def _mesh(cloud: Points) -> Any:
    if not isinstance(cloud, Sampled):
        raise DataError(
            "it has no mesh to render: set keep_mesh: true of the modality, for files of meshes, or of: points"
        )
    if cloud.mesh is None:
        raise ConfigError("of: mesh renders what was read: no view can come before it in a list")
    return cloud.mesh
