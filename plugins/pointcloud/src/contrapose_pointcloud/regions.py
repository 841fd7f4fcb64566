"""View generators that take a part of a cloud away: cuboids (DepthContrast), and what a view point doesn't see.

Each takes a cloud (N, 3 + C) and an rng, and returns those of its points that stay, float32 (M, 3 + C) in their order. M differs
from draw to draw, and a batch needs equal numbers: ``points`` asks for so many of them, as `views.resample` after it would.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from contrapose import view
from contrapose_pointcloud.arguments import Count, Part, Points, Share
from contrapose_pointcloud.views import direction, resample, rotate, scale, turned

TRIES = 100
Outside = Annotated[float, Field(ge=2)]


@view("pointcloud")
def cuboid_crop(
    cloud: Points,
    rng: np.random.Generator,
    low: Part = 0.5,
    high: Part = 1.0,
    aspect: Share = 0.75,
    least: Share = 0.2,
    points: Count | None = None,
) -> Points:
    """Keep the points in a random cuboid along the axes (DepthContrast, Zhang et al., 2021; ``randomcuboid`` of their code).

    Each side is a share of the cloud's extent, uniform in [``low``, ``high``]; the centre is one of the points. A cuboid with fewer
    than ``least`` of the points is drawn elsewhere, at most 100 times; then the whole cloud stays.

    Args:
        low: smallest share of a side.
        high: largest share of a side.
        aspect: the shares of some two sides are to be at least so like each other (smaller over larger); 0 for any.
        least: share of the points; theirs are 10,000 of at most 50,000.
        points: how many of those that stay, all by default.
    """
    xyz = cloud[:, :3]
    shares = rng.uniform(low, high, (TRIES, 3))
    pairs = np.sort(shares, axis=1)  # of sorted shares, neighbours are the likest
    alike = (pairs[:, :-1] / pairs[:, 1:]).max(axis=1) >= aspect
    half = shares[alike.argmax()] * np.ptp(xyz, axis=0) / 2
    for centre in xyz[rng.integers(len(xyz), size=TRIES)]:
        inside = _inside(xyz, centre, half)
        if inside.sum() >= least * len(xyz):
            return kept(cloud, inside, rng, points)
    return kept(cloud, np.ones(len(xyz), bool), rng, points)


@view("pointcloud")
def cuboid_drop(cloud: Points, rng: np.random.Generator, share: Share = 0.2, points: Count | None = None) -> Points:
    """Take away the points in a cuboid about a random point (DepthContrast, Zhang et al., 2021; ``randomdrop`` of their code).

    Its sides are ``share`` of the cloud's extent. A cloud that would lose all its points, being all in one place, stays whole.
    """
    xyz = cloud[:, :3]
    inside = _inside(xyz, xyz[rng.integers(len(xyz))], share * np.ptp(xyz, axis=0) / 2)
    return kept(cloud, ~inside if not inside.all() else inside, rng, points)


@view("pointcloud")
def occlude(cloud: Points, rng: np.random.Generator, distance: Outside = 3.0, points: Count | None = None) -> Points:
    """Keep what is seen from a random point outside, as in one depth image: a z-buffer of the points.

    The picture has about N / 10 pixels, coarse enough that the points of a surface fill them. A point is hidden where another, in
    its pixel or in one beside it, is nearer to the view point by more than three pixels' width. So surfaces that are seen at less
    than some 10 degrees go too, and of fewer than some 500 points those just beyond the outline stay.

    Args:
        distance: of the view point from the cloud's mean, in radii: the distance from there to the farthest point. Its direction is
            uniform on the sphere.
        points: how many of those that stay, all by default.
    """
    xyz = cloud[:, :3] - cloud[:, :3].mean(axis=0, dtype=np.float64)
    xyz /= max(np.linalg.norm(xyz, axis=1).max(), 1e-12)
    ahead = direction(rng)
    across = np.cross(ahead, np.eye(3)[np.abs(ahead).argmin()])
    across /= np.linalg.norm(across)
    x, y, towards = (xyz @ np.stack([across, np.cross(ahead, across), ahead], axis=1)).T
    depth = np.linalg.norm(xyz - distance * ahead, axis=1)
    side = max(1, int(np.sqrt(len(xyz) / 10)))
    wide = np.sqrt(distance**2 - 1)  # the ball's outline is at x / (distance - towards) = 1 / wide
    seen_at = np.stack([x, y]) / (distance - towards) * wide
    row, column = ((seen_at + 1) / 2 * side).astype(int).clip(0, side - 1)
    nearest = np.full((side + 2, side + 2), np.inf)  # with a frame, so that each pixel has eight beside it
    np.minimum.at(nearest, (row + 1, column + 1), depth)
    around = np.lib.stride_tricks.sliding_window_view(nearest, (3, 3)).min(axis=(2, 3))
    return kept(cloud, depth <= around[row, column] + 3 * 2 / side, rng, points)


@view("pointcloud")
def depthcontrast(cloud: Points, rng: np.random.Generator, points: Count = 1024, normals: bool = False) -> Points:
    """DepthContrast's view (Zhang et al., 2021): crop, drop, resample, mirror, turn, scale.

    Constants are those of ``configs/point_vox_template.yaml``: sides U(0.5, 1), aspect 0.75, drop 0.2, mirrored left to right and
    front to back with probability 1/2 each, turned about one of the three axes by U(0, 2π), scaled by U(0.8, 1.2). The axes are
    equally likely, where their code takes x, y, z at 0.33, 0.44, 0.23. They take 5, 10, 15 or 20 thousand points of each cloud,
    which don't make a batch here: it is ``points`` of them, float32 (points, 3 + C).
    """
    cloud = resample(cuboid_drop(cuboid_crop(cloud, rng), rng), rng, points=points)
    cloud = turned(cloud, np.diag([rng.choice([-1, 1]), 1, rng.choice([-1, 1])]), normals)  # y is up
    cloud = rotate(cloud, rng, axis=("x", "y", "z")[rng.integers(3)], normals=normals)
    return scale(cloud, rng, low=0.8, high=1.2)


def _inside(xyz: NDArray[np.floating], centre: NDArray[np.floating], half: NDArray[np.floating]) -> NDArray[np.bool_]:
    return np.asarray((np.abs(xyz - centre) <= half).all(axis=1))


def kept(cloud: Points, those: NDArray[np.bool_], rng: np.random.Generator, points: int | None) -> Points:
    """Those points, or ``points`` of them."""
    some = cloud[those].astype(np.float32)
    return some if points is None else resample(some, rng, points=points)
