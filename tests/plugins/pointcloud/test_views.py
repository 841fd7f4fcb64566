from __future__ import annotations

import pickle
import random

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from contrapose import ConfigError, Sample, build
from contrapose_pointcloud import views
from contrapose_pointcloud.views import dropout, evaluation, jitter, resample, rotate, scale, translate, unit_sphere

Points = NDArray[np.float32]
NAMES = ["crosspoint", "eval", "unit-sphere", "scale", "rotate", "translate", "jitter", "dropout", "resample"]


def rngs(count: int) -> list[np.random.Generator]:
    return [np.random.default_rng(seed) for seed in range(count)]


def looks_uniform(values: list[float], low: float, high: float) -> bool:
    """Kolmogorov-Smirnov distance to U(low, high) below the 0.1 % point."""
    ranks = (np.sort(values) - low) / (high - low)
    steps = np.arange(1, len(values) + 1) / len(values)
    return bool(np.abs(ranks - steps + 0.5 / len(values)).max() < 1.95 / np.sqrt(len(values)))


def test_unit_sphere(cloud: Points) -> None:
    made = unit_sphere(cloud, np.random.default_rng(0))
    np.testing.assert_allclose(made.mean(axis=0), 0, atol=1e-5)
    assert np.linalg.norm(made, axis=1).max() == pytest.approx(1)
    assert (unit_sphere(np.ones((4, 3), np.float32), np.random.default_rng(0)) == 0).all()


def test_scale_is_uniform_and_one_factor_for_all(cloud: Points) -> None:
    factors = []
    for rng in rngs(500):
        ratio = scale(cloud, rng) / cloud
        assert np.ptp(ratio) < 1e-5
        factors.append(float(ratio.mean()))
    assert looks_uniform(factors, 0.5, 2.0)


def test_rotate_turns_about_y_by_any_angle(cloud: Points) -> None:
    angles = []
    for rng in rngs(500):
        made = rotate(cloud, rng)
        np.testing.assert_allclose(made[:, 1], cloud[:, 1])
        np.testing.assert_allclose(np.linalg.norm(made, axis=1), np.linalg.norm(cloud, axis=1), rtol=1e-5)
        x, z = cloud[0, 0], cloud[0, 2]
        angle = np.arctan2(made[0, 0] * z - made[0, 2] * x, made[0, 0] * x + made[0, 2] * z)
        angles.append(float(angle % (2 * np.pi)))
    assert looks_uniform(angles, 0, 2 * np.pi)


@pytest.mark.parametrize(("axis", "column"), [("x", 0), ("y", 1), ("z", 2)])
def test_rotate_is_a_rotation_about_each_axis(cloud: Points, axis: str, column: int) -> None:
    made = rotate(cloud, np.random.default_rng(1), axis=axis, degrees=90)
    matrix = np.linalg.lstsq(cloud, made, rcond=None)[0]
    assert np.linalg.det(matrix) == pytest.approx(1, abs=1e-4)
    np.testing.assert_allclose(made[:, column], cloud[:, column], atol=1e-5)


def test_translate_shifts_by_a_share_of_each_extent(cloud: Points) -> None:
    shares = []
    for rng in rngs(300):
        shift = translate(cloud, rng) - cloud
        assert np.ptp(shift, axis=0).max() < 1e-4
        shares += (shift.mean(axis=0) / np.ptp(cloud, axis=0)).tolist()
    assert looks_uniform(shares, -0.5, 0.5)


def test_jitter_is_clipped_noise(cloud: Points) -> None:
    noise = np.concatenate([jitter(cloud, rng) - cloud for rng in rngs(100)]).ravel()
    assert abs(noise.std() - 0.01) < 2e-4
    assert abs(noise.mean()) < 2e-4
    clipped = jitter(cloud, np.random.default_rng(0), sigma=0.1, clip=0.05) - cloud
    assert np.abs(clipped).max() == pytest.approx(0.05, abs=2e-6)


def test_dropout_replaces_by_the_first_with_a_random_ratio(cloud: Points) -> None:
    ratios = []
    for rng in rngs(600):
        made = dropout(cloud, rng)
        dropped = (made != cloud).any(axis=1)
        assert (made[dropped] == cloud[0]).all()
        assert len(made) == len(cloud)
        ratios.append(float(dropped[1:].mean()))
    assert max(ratios) < 0.97
    assert abs(np.mean(ratios) - 0.4375) < 0.04
    assert abs(np.std(ratios) - np.hypot(0.875 / np.sqrt(12), 0.035)) < 0.02


@pytest.mark.parametrize("points", [1, 150, 200, 500])
def test_resample_gives_the_count_asked_for(cloud: Points, points: int) -> None:
    made = resample(cloud, np.random.default_rng(0), points=points)
    kinds, counts = np.unique(made, axis=0, return_counts=True)
    assert made.shape == (points, 3)
    assert len(kinds) == min(points, 200)
    assert points > 200 or counts.max() == 1
    assert {tuple(p) for p in kinds} <= {tuple(p) for p in cloud}


def test_evaluation_is_the_same_each_time(cloud: Points) -> None:
    for points in (64, 200, 300):
        first = evaluation(cloud, np.random.default_rng(0), points=points)
        np.testing.assert_array_equal(first, evaluation(cloud, np.random.default_rng(1), points=points))
        assert first.shape == (points, 3)
        assert np.linalg.norm(first, axis=1).max() == pytest.approx(1)


def test_crosspoint_is_its_steps_in_the_authors_order(cloud: Points, monkeypatch: pytest.MonkeyPatch) -> None:
    made = views.crosspoint(cloud, np.random.default_rng(4), points=128)
    rng = np.random.default_rng(4)
    expected = resample(cloud, rng, points=128)
    for step in (unit_sphere, scale, rotate, translate, jitter, dropout):
        expected = step(expected, rng)
    np.testing.assert_array_equal(made, expected)
    assert made.shape == (128, 3)


def test_crosspoint_equals_the_authors_formulas(cloud: Points) -> None:
    """Their code (datasets/data_utils.py), written out, on the same draws."""
    rng = np.random.default_rng(11)
    pc = cloud.astype(np.float64)
    pc = pc - np.mean(pc, axis=0)
    pc = pc / np.max(np.sqrt(np.sum(pc**2, axis=1)))
    pc *= rng.uniform(0.5, 2)
    a = rng.uniform() * 2 * np.pi
    cross = np.array([[0.0, 0, 1], [0, 0, 0], [-1, 0, 0]])  # Rodrigues' formula about y
    pc = pc @ (np.cos(a) * np.eye(3) + np.sin(a) * cross + (1 - np.cos(a)) * np.diag([0, 1, 0])).T
    pc += rng.uniform(-0.5, 0.5, size=3) * (pc.max(axis=0) - pc.min(axis=0))
    pc += np.clip(rng.normal(0, 0.01, pc.shape), -0.05, 0.05)
    draws = rng.random(len(pc))
    pc[draws <= rng.random() * 0.875] = pc[0]
    made = views.crosspoint(cloud, np.random.default_rng(11), points=200)
    np.testing.assert_allclose(made, pc, atol=2e-6)


@pytest.mark.parametrize("name", NAMES)
def test_same_rng_same_view_without_global_state(name: str, cloud: Points) -> None:
    generator = pickle.loads(pickle.dumps(build("view", f"pointcloud/{name}")))
    wide = np.concatenate([cloud, np.arange(200, dtype=np.float32)[:, None]], axis=1)
    sample, before = Sample(0, {"pointcloud": wide}), wide.copy()
    states = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].copy()
    (first,) = generator(sample, np.random.default_rng((3, 4)))
    (second,) = generator(sample, np.random.default_rng((3, 4)))
    np.testing.assert_array_equal(first.data, second.data)
    np.testing.assert_array_equal(wide, before)
    assert first.data.dtype == np.float32
    assert set(first.data[:, 3]) <= set(wide[:, 3])  # features go along with their points
    assert torch.equal(torch.get_rng_state(), states[0])
    assert random.getstate() == states[1]
    assert (np.random.get_state()[1] == states[2]).all()


def test_wrong_parameters_are_refused() -> None:
    for node in (
        {"use": "pointcloud/dropout", "most": 1.0},
        {"use": "pointcloud/rotate", "axis": "w"},
        {"use": "pointcloud/resample", "points": 0},
        {"use": "pointcloud/jitter", "sigma": -1},
    ):
        with pytest.raises(ConfigError):
            build("view", node)
