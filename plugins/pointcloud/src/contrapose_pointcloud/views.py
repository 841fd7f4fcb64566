"""View generators: CrossPoint's augmentations, one function a step, and the recipe that strings them together.

Steps and constants are those of ``datasets/data_utils.py`` and ``datasets/data.py`` in github.com/MohamedAfham/CrossPoint
(commit c224a25). Each takes a cloud (N, 3 + C) and an rng, and returns a new float32 array; features beyond the coordinates go
along unchanged.
"""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from contrapose import view

Points = NDArray[np.float32]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, lt=1)]


@view("pointcloud")
def unit_sphere(cloud: Points, rng: np.random.Generator) -> Points:
    """Centre the points on their mean and scale the farthest to distance 1 (``PointcloudNormalize``); nothing is random."""
    xyz = cloud[:, :3] - cloud[:, :3].mean(axis=0)
    farthest = np.linalg.norm(xyz, axis=1).max()
    return _with_xyz(cloud, xyz / max(farthest, 1e-12))  # all points in one place stay there


@view("pointcloud")
def scale(cloud: Points, rng: np.random.Generator, low: Positive = 0.5, high: Positive = 2.0) -> Points:
    """Multiply all coordinates by one factor, uniform in [``low``, ``high``] (``PointcloudScale``)."""
    return _with_xyz(cloud, cloud[:, :3] * rng.uniform(low, high))


@view("pointcloud")
def rotate(
    cloud: Points, rng: np.random.Generator, axis: Literal["x", "y", "z"] = "y", degrees: NotNegative = 360.0
) -> Points:
    """Turn about ``axis`` (y is up) by an angle uniform in [0, ``degrees``) (``PointcloudRotate``)."""
    angle = np.deg2rad(rng.uniform(0, degrees))
    c, s = np.cos(angle), np.sin(angle)
    matrix = {
        "x": [[1, 0, 0], [0, c, -s], [0, s, c]],
        "y": [[c, 0, s], [0, 1, 0], [-s, 0, c]],
        "z": [[c, -s, 0], [s, c, 0], [0, 0, 1]],
    }[axis]
    return _with_xyz(cloud, cloud[:, :3] @ np.array(matrix).T)


@view("pointcloud")
def translate(cloud: Points, rng: np.random.Generator, share: NotNegative = 0.5) -> Points:
    """Shift each axis by its extent times a number uniform in [-``share``, ``share``] (``PointcloudTranslate``)."""
    extent = np.ptp(cloud[:, :3], axis=0)
    return _with_xyz(cloud, cloud[:, :3] + rng.uniform(-share, share, 3) * extent)


@view("pointcloud")
def jitter(cloud: Points, rng: np.random.Generator, sigma: NotNegative = 0.01, clip: NotNegative = 0.05) -> Points:
    """Add noise N(0, ``sigma``²), clipped to ±``clip``, to every coordinate (``PointcloudJitter``)."""
    return _with_xyz(cloud, cloud[:, :3] + rng.normal(0, sigma, (len(cloud), 3)).clip(-clip, clip))


@view("pointcloud")
def dropout(cloud: Points, rng: np.random.Generator, most: Share = 0.875) -> Points:
    """Replace each point by the first, with one probability for all, uniform in [0, ``most``) (``RandomInputDropout``)."""
    dropped = rng.random(len(cloud)) <= rng.uniform(0, most)
    return np.where(dropped[:, None], cloud[0], cloud).astype(np.float32)


@view("pointcloud")
def resample(cloud: Points, rng: np.random.Generator, points: Count = 1024) -> Points:
    """Take ``points`` points: a random subset, or, where there are fewer, all of them and random repeats."""
    have = len(cloud)
    if have == points:
        return cloud.astype(np.float32)
    if have > points:
        return cloud[rng.choice(have, points, replace=False)].astype(np.float32)
    return cloud[np.concatenate([np.arange(have), rng.integers(0, have, points - have)])].astype(np.float32)


@view("pointcloud")
def crosspoint(cloud: Points, rng: np.random.Generator, points: Count = 1024) -> Points:
    """CrossPoint's view (Afham et al., 2022): unit sphere, scale, turn about y, shift, jitter, input dropout.

    Constants are the defaults of the steps: U(0.5, 2), U(0, 2π), ±0.5 extent, σ 0.01 clipped at 0.05, ratio U(0, 0.875).
    The authors train on all 2,048 points of their files; here ``points`` of them are drawn first.
    """
    cloud = resample(cloud, rng, points=points)
    for step in (unit_sphere, scale, rotate, translate, jitter, dropout):
        cloud = step(cloud, rng)
    return cloud


@view("pointcloud")
def evaluation(cloud: Points, rng: np.random.Generator, points: Count = 1024) -> Points:
    """``points`` points, evenly spaced in their order (repeated where there are fewer), in the unit sphere. Not random."""
    return unit_sphere(cloud[np.linspace(0, len(cloud) - 1, points).round().astype(int)], rng)


def _with_xyz(cloud: Points, xyz: NDArray[np.floating]) -> Points:
    return np.concatenate([xyz, cloud[:, 3:]], axis=1).astype(np.float32)
