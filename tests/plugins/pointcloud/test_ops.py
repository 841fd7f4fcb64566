"""The operations on points against brute force in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from contrapose_pointcloud.ops import ball, group, interpolate, nearest, squared_distances
from contrapose_pointcloud.sampling import farthest, outermost

Array = NDArray[np.float64]


def cloud(points: int, seed: int, rows: int = 2, dim: int = 3) -> Array:
    """Numbers that float32 holds, off the origin."""
    drawn = np.random.default_rng(seed).normal(size=(rows, points, dim)) + 3
    return drawn.astype(np.float32).astype(np.float64)


def tensor(x: Array) -> Tensor:
    return torch.from_numpy(x).float()


def brute_distances(a: Array, b: Array) -> Array:
    return np.asarray(((a[:, :, None] - b[:, None]) ** 2).sum(-1))


def brute_farthest(x: Array, m: int, start: int) -> list[int]:
    chosen = [start]
    for _ in range(m - 1):
        gaps = ((x[:, None] - x[chosen]) ** 2).sum(-1).min(1)
        chosen.append(int(gaps.argmax()) if gaps.max() > 0 else start)
    return chosen


@pytest.mark.parametrize("size", [1, 5, 32, 100])
@pytest.mark.parametrize("dim", [2, 3])
def test_farthest_equals_brute_force(size: int, dim: int) -> None:
    x = cloud(size, size, rows=3, dim=dim)
    starts = [0, size // 2, size - 1]
    found = farthest(tensor(x), min(size, 40), torch.tensor(starts))
    assert found.tolist() == [brute_farthest(row, min(size, 40), s) for row, s in zip(x, starts, strict=True)]
    assert found.dtype == torch.int64


def test_farthest_takes_each_place_once_and_then_repeats_the_start() -> None:
    x = cloud(4, 0)[:, [0, 1, 1, 2, 3, 0, 2]]
    found = farthest(tensor(x), 9, 3)
    assert (found[:, 4:] == 3).all()
    assert all(
        {tuple(p) for p in row[i[:4]]} == {tuple(p) for p in row} for row, i in zip(x, found.numpy(), strict=True)
    )
    for row, i in zip(x, found, strict=True):  # either of two points at one place
        np.testing.assert_array_equal(row[i], row[brute_farthest(row, 9, 3)])
    assert farthest(torch.ones(1, 1, 3), 3).tolist() == [[0, 0, 0]]


def test_farthest_does_not_hang_on_the_order_of_points() -> None:
    x, order = tensor(cloud(200, 1)), torch.randperm(200)
    turned = x[:, order]
    found, again = farthest(x, 50, outermost(x)), farthest(turned, 50, outermost(turned))
    assert torch.equal(group(x, found), group(turned, again))


def test_a_smaller_sample_is_the_beginning_and_that_of_the_sample_too() -> None:
    x = tensor(cloud(200, 2))
    found = farthest(x, 64, 7)
    assert torch.equal(farthest(x, 16, 7), found[:, :16])
    assert torch.equal(farthest(group(x, found), 16), torch.arange(16).expand(2, -1))


@pytest.mark.parametrize("shift", [0.0, 1000.0])
def test_distances_are_exact_far_from_the_origin_also_under_autocast(shift: float) -> None:
    a, b = ((cloud(n, n) + shift).astype(np.float32) for n in (6, 9))
    b[:, 0] = a[:, 0]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        made = squared_distances(torch.from_numpy(a), torch.from_numpy(b))
        found = farthest(torch.from_numpy(b), 5).tolist()
    np.testing.assert_allclose(made, brute_distances(a.astype(np.float64), b.astype(np.float64)), rtol=1e-6)
    assert (made[:, 0, 0] == 0).all()
    assert found == [brute_farthest(row, 5, 0) for row in b.astype(np.float64)]


@pytest.mark.parametrize(("size", "k"), [(1, 1), (1, 4), (3, 8), (50, 6), (256, 8)])
def test_nearest_equals_brute_force(size: int, k: int) -> None:
    queries, x = cloud(7, 50), cloud(size, size)
    found, squared = nearest(tensor(queries), tensor(x), k)
    expected = np.sort(brute_distances(queries, x), axis=2)[:, :, :k]
    assert found.shape == (2, 7, min(k, size))
    np.testing.assert_allclose(squared, expected, rtol=1e-5)
    np.testing.assert_allclose(np.take_along_axis(brute_distances(queries, x), found.numpy(), 2), expected, rtol=1e-5)
    assert (found.sort(dim=2)[0].diff(dim=2) > 0).all()


@pytest.mark.parametrize("k", [1, 4, 40])
def test_ball_takes_the_nearest_within_and_pads_with_the_first(k: int) -> None:
    x = cloud(30, 3)
    queries = np.concatenate([x[:, :5], cloud(5, 4), x[:, :1] + 100], axis=1)
    found = ball(tensor(queries), tensor(x), 1.5, k).numpy()
    assert found.shape == (2, 11, min(k, 30))
    distances = brute_distances(queries, x)
    for row in np.ndindex(2, 11):
        by_distance = distances[row].argsort()
        within = [i for i in by_distance if distances[row][i] <= 1.5**2][:k] or [by_distance[0]]
        assert found[row].tolist() == within + [within[0]] * (min(k, 30) - len(within))


def test_ball_of_repeated_points_has_one_place() -> None:
    x = torch.ones(1, 20, 3)
    assert ball(x[:, :2], x, 0.1, 8).shape == (1, 2, 8)
    assert torch.equal(group(x, ball(x[:, :2], x, 0.1, 8)), torch.ones(1, 2, 8, 3))


def test_group_gathers_by_cloud_with_gradient() -> None:
    x = torch.randn(3, 5, 4, dtype=torch.float64, requires_grad=True)
    indices = torch.randint(0, 5, (3, 6, 2))
    made, expected = group(x, indices), torch.stack([row[i] for row, i in zip(x, indices, strict=True)])
    assert torch.equal(made, expected)
    weights = torch.randn_like(made)
    ours, theirs = (torch.autograd.grad((y * weights).sum(), x)[0] for y in (made, expected))
    torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("size", [1, 2, 3, 40])
def test_interpolation_equals_brute_force_with_gradient(size: int) -> None:
    x, queries = cloud(size, 5), cloud(8, 6)
    features = torch.randn(2, size, 4, dtype=torch.float64, requires_grad=True)
    near = brute_distances(queries, x).argsort(axis=2)[:, :, :3]
    weights = 1 / np.take_along_axis(brute_distances(queries, x), near, 2)
    matrix = np.zeros((2, 8, size))
    np.put_along_axis(matrix, near, weights / weights.sum(2, keepdims=True), axis=2)
    made = interpolate(torch.from_numpy(queries), torch.from_numpy(x), features)
    expected = torch.from_numpy(matrix) @ features
    torch.testing.assert_close(made, expected)
    drawn = torch.randn_like(made)
    ours, theirs = (torch.autograd.grad((y * drawn).sum(), features)[0] for y in (made, expected))
    torch.testing.assert_close(ours, theirs)


def test_interpolation_at_the_points_gives_their_features_also_where_they_repeat() -> None:
    x = tensor(cloud(10, 7))
    features = torch.randn(2, 10, 4)
    torch.testing.assert_close(interpolate(x, x, features), features)
    twice = interpolate(x, torch.cat([x, x], 1), torch.cat([features, features], 1))
    torch.testing.assert_close(twice, features)
    one_place = interpolate(x[:, :1], torch.ones(2, 9, 3), torch.ones(2, 9, 4))
    torch.testing.assert_close(one_place, torch.ones(2, 1, 4))


def test_no_clouds_are_a_batch_too() -> None:
    x = torch.zeros(0, 8, 3)
    assert farthest(x, 4, outermost(x)).shape == (0, 4)
    assert nearest(x, x, 3)[0].shape == (0, 8, 3)
    assert ball(x[:, :2], x, 1.0, 3).shape == (0, 2, 3)
    assert interpolate(x, x[:, :2], torch.zeros(0, 2, 5)).shape == (0, 8, 5)
