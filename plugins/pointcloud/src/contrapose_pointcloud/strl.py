"""View generators of STRL: more points in between, a box kept, a box cut out, and the recipe that strings them together.

Steps and constants are those of ``BYOL/data/data_utils.py`` and ``BYOL/models/base_model.py`` in github.com/yichen928/STRL (commit
6cfd6cf). Each takes a cloud (N, 3 + C) and an rng, and returns a new float32 array, of as many points as it happens to have.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from contrapose import view
from contrapose_pointcloud.arguments import Count, Points
from contrapose_pointcloud.regions import kept
from contrapose_pointcloud.ulip import perturb
from contrapose_pointcloud.views import dropout, jitter, resample, scale, translate, unit_sphere

TRIES = 10
NEAR = 10


@view("pointcloud")
def upsample(cloud: Points, rng: np.random.Generator, points: Count = 4096, normals: bool = False) -> Points:
    """Fill up to ``points`` points: each new one is the mean of 5 of a random point's 10 nearest (``PointcloudUpSampling``).

    Features are averaged too, and ``normals`` made of unit length again. A cloud that has as many or more is returned as it is.
    """
    more = points - len(cloud)
    if more <= 0:
        return cloud.astype(np.float32)
    xyz = cloud[:, :3] - cloud[:, :3].mean(
        axis=0, dtype=np.float64
    )  # far from the origin float32 has few digits to spare
    xyz = xyz.astype(np.float32)
    length = (xyz**2).sum(axis=1)
    centres = rng.integers(len(xyz), size=more)
    apart = length - 2 * xyz[centres] @ xyz.T  # squared distances, but for a number a row
    near = min(NEAR, len(xyz))
    nearest = np.argpartition(apart, near - 1, axis=1)[:, :near]
    chosen = rng.permuted(nearest, axis=1)[:, : max(1, near // 2)]
    added = cloud[chosen].mean(axis=1)
    if normals:
        added[:, 3:6] /= np.maximum(np.linalg.norm(added[:, 3:6], axis=1, keepdims=True), 1e-12)
    return np.concatenate([cloud, added]).astype(np.float32)


@view("pointcloud")
def box_crop(cloud: Points, rng: np.random.Generator, least: Count = 1, points: Count | None = None) -> Points:
    """Keep the points in a random box along the axes (``PointcloudRandomCrop``).

    It is r, r a and r / a of the cloud's extent in x, y and z, r uniform in [0.6, 1.1], a in [0.75, 1.33]; where it fits, it lies
    anywhere within the cloud's box. One with fewer than ``least`` points, or with all, is drawn anew, at most 10 times; then the
    whole cloud stays. ``points`` asks for so many of those that stay, all by default.
    """
    for _ in range(TRIES):
        side, aspect = rng.uniform(0.6, 1.1), rng.uniform(0.75, 1.33)
        inside = _in_box(cloud, np.array([side, side * aspect, side / aspect]), rng)
        if least <= inside.sum() < len(cloud):
            return kept(cloud, inside, rng, points)
    return kept(cloud, np.ones(len(cloud), bool), rng, points)


@view("pointcloud")
def cutout(cloud: Points, rng: np.random.Generator, least: Count = 1, points: Count | None = None) -> Points:
    """Take away the points in a random box along the axes (``PointcloudRandomCutout``).

    Its sides are uniform in [0.3, 0.6] of the cloud's extent. One that leaves fewer than ``least`` points, or takes none, is drawn
    anew, at most 10 times; then the whole cloud stays. ``points`` asks for so many of those that stay, all by default.
    """
    for _ in range(TRIES):
        inside = _in_box(cloud, rng.uniform(0.3, 0.6, 3), rng)
        if inside.any() and len(cloud) - inside.sum() >= least:
            return kept(cloud, ~inside, rng, points)
    return kept(cloud, np.ones(len(cloud), bool), rng, points)


@view("pointcloud")
def strl(cloud: Points, rng: np.random.Generator, points: Count = 2048, normals: bool = False) -> Points:
    """STRL's view of a shape (Huang et al., 2021): upsample, crop, unit sphere, cut out, scale, perturb, shift, jitter, drop.

    Constants are those of the code's ShapeNet recipe: up to twice ``points`` points, crop and cutout with probability 1/2 each, of
    which ``points`` points must stay, scale U(0.8, 1.25), shift ±0.1 of the extent, σ 0.01 clipped at 0.05, dropout U(0, 0.875).
    Last, ``points`` of them are drawn, float32 (points, 3 + C).
    """
    cloud = upsample(cloud, rng, points=2 * points, normals=normals)
    if rng.random() < 0.5:
        cloud = box_crop(cloud, rng, least=points)
    cloud = unit_sphere(cloud, rng)
    if rng.random() < 0.5:
        cloud = cutout(cloud, rng, least=points)
    cloud = perturb(scale(cloud, rng, low=0.8, high=1.25), rng, normals=normals)
    cloud = translate(cloud, rng, share=0.1)
    return resample(dropout(jitter(cloud, rng), rng), rng, points=points)


def _in_box(cloud: Points, shares: NDArray[np.floating], rng: np.random.Generator) -> NDArray[np.bool_]:
    """Which points lie within a box, its sides given as shares of the cloud's extent, at a random place."""
    xyz = cloud[:, :3]
    low, extent = xyz.min(axis=0), np.ptp(xyz, axis=0)
    corner = rng.uniform(np.minimum(0, 1 - shares), np.maximum(0, 1 - shares))
    begin = low + extent * corner
    return np.asarray(((xyz > begin) & (xyz < begin + extent * shares)).all(axis=1))
