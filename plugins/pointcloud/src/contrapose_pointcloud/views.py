"""View generators: CrossPoint's augmentations, one function a step, and the recipe that strings them together.

Steps and constants are those of ``datasets/data_utils.py`` and ``datasets/data.py`` in github.com/MohamedAfham/CrossPoint
(commit c224a25). Each takes a cloud (N, 3 + C) and an rng, and returns a new float32 array; features beyond the coordinates go
along unchanged. Where ``normals`` says that columns 3 to 5 are normals, as the modality does of its clouds, what turns or bends the
cloud turns these too; shifts, noise and one factor for all axes leave them as they are. Given (n, N, 3 + C) with a
``torch.Generator``, each does the same to a batch (`contrapose_pointcloud.batched`).
"""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray

from contrapose import view
from contrapose_pointcloud import batched
from contrapose_pointcloud.arguments import Axis, Count, NotNegative, Points, Positive, Share


@view("pointcloud", batched=batched.unit_sphere)
def unit_sphere(cloud: Points, rng: np.random.Generator) -> Points:
    """Centre the points on their mean and scale the farthest to distance 1 (``PointcloudNormalize``); nothing is random."""
    xyz = cloud[:, :3].astype(np.float64)  # far from the origin float32 has few digits to spare
    xyz = xyz - xyz.mean(axis=0)
    farthest = np.linalg.norm(xyz, axis=1).max()
    return with_xyz(cloud, xyz / max(farthest, 1e-12))  # all points in one place stay there


@view("pointcloud", batched=batched.scale)
def scale(cloud: Points, rng: np.random.Generator, low: Positive = 0.5, high: Positive = 2.0) -> Points:
    """Multiply all coordinates by one factor, uniform in [``low``, ``high``] (``PointcloudScale``)."""
    return with_xyz(cloud, cloud[:, :3] * rng.uniform(low, high))


@view("pointcloud", batched=batched.rotate)
def rotate(
    cloud: Points, rng: np.random.Generator, axis: Axis = "y", degrees: NotNegative = 360.0, normals: bool = False
) -> Points:
    """Turn about ``axis`` (y is up) by an angle uniform in [0, ``degrees``) (``PointcloudRotate``), normals too.

    ``any`` is an axis through the origin, uniform on the sphere and drawn for each cloud.
    """
    angle = np.deg2rad(rng.uniform(0, degrees))
    if axis == "any":
        x, y, z = direction(rng)
    else:
        x, y, z = (float(a == axis) for a in "xyz")
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    turn = np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross  # Rodrigues' formula
    return turned(cloud, turn, normals)


@view("pointcloud", batched=batched.translate)
def translate(cloud: Points, rng: np.random.Generator, share: NotNegative = 0.5) -> Points:
    """Shift each axis by its extent times a number uniform in [-``share``, ``share``] (``PointcloudTranslate``)."""
    extent = np.ptp(cloud[:, :3], axis=0)
    return with_xyz(cloud, cloud[:, :3] + rng.uniform(-share, share, 3) * extent)


@view("pointcloud", batched=batched.jitter)
def jitter(cloud: Points, rng: np.random.Generator, sigma: NotNegative = 0.01, clip: NotNegative = 0.05) -> Points:
    """Add noise N(0, ``sigma``²), clipped to ±``clip``, to every coordinate (``PointcloudJitter``)."""
    return with_xyz(cloud, cloud[:, :3] + rng.normal(0, sigma, (len(cloud), 3)).clip(-clip, clip))


@view("pointcloud", batched=batched.dropout)
def dropout(cloud: Points, rng: np.random.Generator, most: Share = 0.875) -> Points:
    """Replace each point by the first, with one probability for all, uniform in [0, ``most``) (``RandomInputDropout``)."""
    dropped = rng.random(len(cloud)) <= rng.uniform(0, most)
    return np.where(dropped[:, None], cloud[0], cloud).astype(np.float32)


@view("pointcloud", batched=batched.resample)
def resample(cloud: Points, rng: np.random.Generator, points: Count = 1024) -> Points:
    """Take ``points`` points: a random subset, or, where there are fewer, all of them and random repeats."""
    have = len(cloud)
    if have == points:
        return cloud.astype(np.float32)
    if have > points:
        return cloud[rng.choice(have, points, replace=False)].astype(np.float32)
    return cloud[np.concatenate([np.arange(have), rng.integers(0, have, points - have)])].astype(np.float32)


@view("pointcloud", batched=True)
def crosspoint(cloud: Points, rng: np.random.Generator, points: Count = 1024, normals: bool = False) -> Points:
    """CrossPoint's view (Afham et al., 2022): unit sphere, scale, turn about y, shift, jitter, input dropout.

    Constants are the defaults of the steps: U(0.5, 2), U(0, 2π), ±0.5 extent, σ 0.01 clipped at 0.05, ratio U(0, 0.875).
    The authors train on all 2,048 points of their files; here ``points`` of them are drawn first.
    """
    cloud = resample(cloud, rng, points=points)
    for step in (unit_sphere, scale, partial(rotate, normals=normals), translate, jitter, dropout):
        cloud = step(cloud, rng)
    return cloud


@view("pointcloud", batched=batched.evaluation)
def evaluation(cloud: Points, rng: np.random.Generator, points: Count = 1024) -> Points:
    """``points`` points, evenly spaced in their order (repeated where there are fewer), in the unit sphere. Not random."""
    return unit_sphere(cloud[np.linspace(0, len(cloud) - 1, points).round().astype(int)], rng)


def direction(rng: np.random.Generator) -> NDArray[np.float64]:
    """A unit vector (3,), uniform on the sphere."""
    drawn = rng.normal(size=3)
    return drawn / np.linalg.norm(drawn)


def with_xyz(cloud: Points, xyz: NDArray[np.floating]) -> Points:
    """The cloud (N, 3 + C) at other coordinates (N, 3), with its features."""
    return np.concatenate([xyz, cloud[:, 3:]], axis=1).astype(np.float32)


def turned(cloud: Points, matrix: NDArray[np.floating], normals: bool) -> Points:
    """The cloud (N, 3 + C) turned or mirrored by an orthogonal matrix (3, 3), its ``normals``, columns 3 to 5, too."""
    made = with_xyz(cloud, cloud[:, :3] @ matrix.T)
    if normals:
        made[:, 3:6] = cloud[:, 3:6] @ matrix.T
    return made
