"""View generators that bend a cloud, or choose its points by where they lie.

Each takes a cloud (N, 3 + C) and an rng, and returns float32; features beyond the coordinates go along unchanged, but for
``normals`` where the cloud is bent.
"""

from __future__ import annotations

from itertools import product
from typing import Annotated

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from pydantic import Field

from contrapose import view
from contrapose_pointcloud.arguments import Count, NotNegative, Points
from contrapose_pointcloud.views import with_xyz

BLUR = np.array([1, 2, 3, 2, 1]) / 9  # two means of three, one after the other
Grain = Annotated[float, Field(ge=0.02, le=1)]  # a grid of 1 / grain cells a side must fit into memory


@view("pointcloud")
def elastic(
    cloud: Points,
    rng: np.random.Generator,
    grain: Grain = 0.1,
    magnitude: NotNegative = 0.2,
    normals: bool = False,
) -> Points:
    """Move the points by a smooth random field, so that neighbours move alike (``elastic_distortion`` of ScanNet pipelines).

    Standard normal noise on a grid is blurred twice by a mean of three cells along each axis, and interpolated linearly: a
    displacement of standard deviation 0.11 ``magnitude``, or somewhat less between the grid's nodes, along each axis. Those
    pipelines (Choy et al., 2019, SpatioTemporalSegmentation) do it twice, by cells of 0.2 and 0.8 m and magnitudes of 0.4 and
    1.6 m; the defaults are the second of these in a room of 8 m, and the first is ``{grain: 0.025, magnitude: 0.05}``.

    Args:
        grain: side of a cell, as a share of the cloud's longest side.
        magnitude: factor on the field, as a share of the cloud's longest side.
        normals: columns 3 to 5 are normals, which stay normal to the bent surface.
    """
    low, extent = cloud[:, :3].min(axis=0), np.ptp(cloud[:, :3], axis=0)
    longest = max(float(extent.max()), 1e-12)
    at = (cloud[:, :3] - low) / (grain * longest)
    corner = np.floor(at).astype(int)
    field = rng.standard_normal((*(corner.max(axis=0) + 2 + len(BLUR) - 1), 3))
    for axis in range(3):
        field = sliding_window_view(field, len(BLUR), axis=axis) @ BLUR
    field, part = magnitude * longest * field, at - corner
    made = with_xyz(cloud, cloud[:, :3] + _between(field, corner, part))
    if normals:
        slopes = [_between(field, corner, part, along) / (grain * longest) for along in range(3)]
        made[:, 3:6] = _bent(cloud[:, 3:6], np.eye(3) + np.stack(slopes, axis=2))
    return made


@view("pointcloud")
def fps(cloud: Points, rng: np.random.Generator, points: Count = 1024) -> Points:
    """Farthest point sampling (Qi et al., 2017, PointNet++): ``points`` points that cover the cloud evenly, in the order of choice.

    The first is random, each next the farthest from those chosen. Where there are fewer, all of them and random repeats. It takes
    time N x ``points``: `views.resample` before it makes a large cloud small.
    """
    xyz = np.ascontiguousarray(cloud[:, :3].T, np.float32)  # by axis, so that sums run along memory
    chosen = np.empty(min(points, len(cloud)), int)
    away = np.full(len(cloud), np.inf, np.float32)
    for n in range(len(chosen)):
        chosen[n] = away.argmax() if n else rng.integers(len(cloud))
        np.minimum(away, np.square(xyz - xyz[:, chosen[n], None]).sum(axis=0), out=away)
        away[chosen[n]] = -1  # never again, even where all that is left lies at points chosen before
    again = rng.integers(0, len(cloud), points - len(chosen))
    return cloud[np.concatenate([chosen, again])].astype(np.float32)


def _between(
    field: NDArray[np.float64], corner: NDArray[np.int_], part: NDArray[np.floating], slope: int | None = None
) -> NDArray[np.float64]:
    """The field (X, Y, Z, 3) at points (N, 3) that lie ``part`` of a cell beyond the grid's node ``corner``, trilinearly.

    With ``slope``, how much it changes there in a cell's width along that axis.
    """
    found = np.zeros((len(corner), 3))
    for step in product((0, 1), repeat=3):
        weights = np.where(step, part, 1 - part)
        if slope is not None:
            weights[:, slope] = 1 if step[slope] else -1
        found += weights.prod(axis=1, keepdims=True) * field[tuple((corner + step).T)]
    return found


def _bent(normals: NDArray[np.floating], jacobian: NDArray[np.float64]) -> NDArray[np.float64]:
    """Unit normals (N, 3) of a surface after a map with these Jacobians (N, 3, 3): by their cofactors, as cross products are."""
    x, y, z = (jacobian[:, axis] for axis in range(3))
    cofactors = np.stack([np.cross(y, z), np.cross(z, x), np.cross(x, y)], axis=1)
    bent = np.einsum("nij,nj->ni", cofactors, normals)
    bent /= np.maximum(np.linalg.norm(bent, axis=1, keepdims=True), 1e-12)
    return bent
