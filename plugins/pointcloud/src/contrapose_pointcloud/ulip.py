"""View generators of ULIP: a small turn about each axis, a shift, and the recipe.

Steps and constants are those of ``data/dataset_3d.py`` in github.com/salesforce/ULIP (commit f194ddb). Shapes and batched forms
are as in `contrapose_pointcloud.views`.
"""

from __future__ import annotations

import numpy as np

from contrapose import view
from contrapose_pointcloud import batched
from contrapose_pointcloud.arguments import Count, NotNegative, Points
from contrapose_pointcloud.views import dropout, resample, rotate, scale, turned, unit_sphere, with_xyz


@view("pointcloud", batched=batched.perturb)
def perturb(
    cloud: Points,
    rng: np.random.Generator,
    sigma: NotNegative = 0.06,
    clip: NotNegative = 0.18,
    normals: bool = False,
) -> Points:
    """Turn a little about x, then y, then z, by angles N(0, ``sigma``²) in radians, clipped to ±``clip``, normals too.

    As STRL's ``PointcloudRotatePerturbation``; ULIP's turns about z first.
    """
    turn = np.eye(3)
    for axis, angle in enumerate(rng.normal(0, sigma, 3).clip(-clip, clip)):
        i, j = (axis + 1) % 3, (axis + 2) % 3
        about = np.eye(3)
        about[[i, i, j, j], [i, j, i, j]] = np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)
        turn = about @ turn
    return turned(cloud, turn, normals)


@view("pointcloud", batched=batched.shift)
def shift(cloud: Points, rng: np.random.Generator, most: NotNegative = 0.1) -> Points:
    """Shift each axis by a number uniform in [-``most``, ``most``], in the cloud's own unit (``shift_point_cloud``)."""
    return with_xyz(cloud, cloud[:, :3] + rng.uniform(-most, most, 3))


@view("pointcloud", batched=True)
def ulip(cloud: Points, rng: np.random.Generator, points: Count = 8192, normals: bool = False) -> Points:
    """ULIP's view (Xue et al., 2023): unit sphere, input dropout, scale, shift, small turns, turn about y.

    Constants are those of the code: ratio U(0, 0.875), U(0.8, 1.25), ±0.1, N(0, 0.06²) clipped at 0.18, U(0, 2π). It defines a
    jitter of σ 0.01, and doesn't use it. It takes the ``points`` points that are farthest from one another, where here they are
    drawn: put ``{use: pointcloud/fps, points: 8192}`` before this view for that, which is slow.
    """
    cloud = unit_sphere(resample(cloud, rng, points=points), rng)
    cloud = scale(dropout(cloud, rng), rng, low=0.8, high=1.25)
    return rotate(perturb(shift(cloud, rng), rng, normals=normals), rng, normals=normals)
