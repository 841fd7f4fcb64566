"""View generators that make two views of a cloud at once, in which points correspond (PointContrast).

A table of dense rows knows a point by its ``position``, its place in the cloud that the encoder got. So the first ``pairs`` points
of both views are the same points in the same order: ``same(sample) and same(position)`` pairs them, and the head
`contrapose_pointcloud.heads.Leading` keeps these positions alone. Steps that change the order or number of points would break
that, so the views of a pair are made by one generator; those steps can come before it in a list.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from contrapose import View, view
from contrapose_pointcloud.arguments import Count, Part, Points
from contrapose_pointcloud.views import direction, rotate, with_xyz


@view("pointcloud", names=("a", "b"))
def partial(
    cloud: Points, rng: np.random.Generator, points: Count = 1024, pairs: Count = 256, overlap: Part = 0.3
) -> list[View]:
    """Two parts of the cloud that overlap: what lies below a random plane, and what lies above another, parallel and lower.

    Both hold equally many of the cloud's points, before ``points`` of these are drawn. Where a part or the overlap has fewer than
    are asked for, points are repeated. A repeated pair is its own negative, so ask for no more ``pairs`` than ``overlap`` promises.

    Args:
        points: of each view, float32 (points, 3 + C).
        pairs: how many points the two share for certain, their first ones, in the same order; at most ``points``.
        overlap: smallest share of a part's points that the other has too; it is uniform in [``overlap``, 1]. PointContrast takes
            pairs of frames from 0.3.
    """
    pairs = min(pairs, points)
    order = np.argsort(cloud[:, :3] @ direction(rng), kind="stable")
    size = int(np.ceil(len(order) / (2 - rng.uniform(overlap, 1))))
    first, second = order[:size], order[len(order) - size :]
    shared = _drawn(first[len(order) - size :], pairs, rng)
    rests = (_drawn(np.setdiff1d(part, shared), points - pairs, rng, part) for part in (first, second))
    chosen = (np.concatenate([shared, rest]) for rest in rests)
    return [View(name, "pointcloud", cloud[c].astype(np.float32)) for name, c in zip("ab", chosen, strict=True)]


@view("pointcloud", names=("a", "b"))
def pointcontrast(
    cloud: Points,
    rng: np.random.Generator,
    points: Count = 1024,
    pairs: Count = 256,
    overlap: Part = 0.3,
    normals: bool = False,
) -> list[View]:
    """PointContrast's pair of views (Xie et al., 2020), of one cloud: `partial`, each part centred and turned about any axis.

    The authors' parts are two depth frames of a room, whose points are paired where they lie within 1.5 voxels, and their axes are
    those of points uniform in a cube, here in the sphere. Their random scales are off in their config.
    """
    made = partial(cloud, rng, points=points, pairs=pairs, overlap=overlap)
    return [replace(v, data=rotate(_centred(v.data), rng, axis="any", normals=normals)) for v in made]


def _centred(cloud: Points) -> Points:
    return with_xyz(cloud, cloud[:, :3] - cloud[:, :3].mean(axis=0, dtype=np.float64))


def _drawn(
    of: NDArray[np.int_], count: int, rng: np.random.Generator, otherwise: NDArray[np.int_] | None = None
) -> NDArray[np.int_]:
    """``count`` of these, without repeats while they last; of ``otherwise`` where there is none."""
    if not len(of) and otherwise is not None:
        of = otherwise
    drawn = rng.permutation(of)[:count]
    return np.concatenate([drawn, rng.choice(of, count - len(drawn))])
