"""STRL: what each step is, the recipe by the authors' formulas, and BYOL's loss under their heads."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from tests.reference import formulas as ref

from contrapose import Method
from contrapose.plugins import registry
from contrapose.testing import assert_ddp_equivalent
from contrapose.testing.toy import outputs
from contrapose.types import Batch, ViewBatch
from contrapose_pointcloud import strl as module
from contrapose_pointcloud.encoders import PointNet
from contrapose_pointcloud.strl import box_crop, cutout, strl, upsample
from contrapose_pointcloud.ulip import perturb
from contrapose_pointcloud.views import dropout, jitter, resample, scale, translate, unit_sphere

Points = NDArray[np.float32]


def rngs(count: int) -> list[np.random.Generator]:
    return [np.random.default_rng(seed) for seed in range(count)]


def numbered(points: NDArray[np.floating]) -> Points:
    return np.concatenate([points, np.arange(len(points))[:, None]], axis=1).astype(np.float32)


def test_new_points_are_means_of_five_of_the_ten_nearest(cloud: Points) -> None:
    made = upsample(cloud, np.random.default_rng(0), points=212)
    np.testing.assert_array_equal(made[:200], cloud)
    apart = np.linalg.norm(cloud[:, None] - cloud, axis=2).argsort(axis=1)[:, :10]
    fives = np.array([*combinations(range(10), 5)])
    means = cloud[apart[:, fives]].mean(axis=2).reshape(-1, 3)
    for point in made[200:]:
        assert np.abs(means - point).max(axis=1).min() < 1e-5
    np.testing.assert_array_equal(upsample(cloud, np.random.default_rng(0), points=150), cloud)


def test_a_crop_is_all_that_lies_in_a_box_within_the_cloud(cloud: Points) -> None:
    """The sides' shares multiply to the cube of the first: r, r a, r / a. They are read off a lattice, which tells a box."""
    axis = np.linspace(0, 1, 21)
    lattice = np.stack(np.meshgrid(axis, axis, axis), axis=-1).reshape(-1, 3)
    sides = []
    for rng in rngs(200):
        made = box_crop(numbered(lattice * [4, 2, 1]), rng)
        low, high = (made[:, :3] / [4, 2, 1]).min(axis=0), (made[:, :3] / [4, 2, 1]).max(axis=0)
        within = ((lattice >= low - 1e-6) & (lattice <= high + 1e-6)).all(axis=1)
        np.testing.assert_array_equal(np.flatnonzero(within), made[:, 3])
        sides.append(high - low)
    r, ra, r_a = np.array(sides).T + 1 / 20  # a box holds a step less than its side
    assert 0.55 < r.min() < 0.7
    assert r.max() <= 1.06
    free = (r < 0.95) & (ra < 0.95) & (r_a < 0.95)  # not cut off by the cloud's own box
    np.testing.assert_allclose((ra * r_a)[free], (r**2)[free], atol=0.16)
    assert np.mean([len(box_crop(cloud, rng, least=201)) == 200 for rng in rngs(20)]) == 1


def test_a_cutout_is_all_that_lies_outside_a_box(cloud: Points) -> None:
    axis = np.linspace(0, 1, 21)
    lattice = np.stack(np.meshgrid(axis, axis, axis), axis=-1).reshape(-1, 3)
    sides = []
    for rng in rngs(200):
        gone = np.setdiff1d(np.arange(len(lattice)), cutout(numbered(lattice), rng)[:, 3].astype(int))
        low, high = lattice[gone].min(axis=0), lattice[gone].max(axis=0)
        assert len(gone) == ((lattice >= low) & (lattice <= high)).all(axis=1).sum()
        sides += (high - low + 1 / 20).tolist()
    assert 0.25 < min(sides) < 0.36
    assert 0.55 < max(sides) < 0.66
    assert abs(np.mean(sides) - 0.45) < 0.02
    for rng in rngs(20):
        assert len(cutout(cloud, rng, least=200)) == 200


def test_the_view_is_its_steps_in_the_authors_order(cloud: Points) -> None:
    seen = set()
    for seed in range(20):
        made = strl(cloud, np.random.default_rng(seed), points=64)
        rng = np.random.default_rng(seed)
        expected = upsample(cloud, rng, points=128)
        if crop := rng.random() < 0.5:
            expected = box_crop(expected, rng, least=64)
        expected = unit_sphere(expected, rng)
        if cut := rng.random() < 0.5:
            expected = cutout(expected, rng, least=64)
        expected = perturb(scale(expected, rng, low=0.8, high=1.25), rng)
        expected = dropout(jitter(translate(expected, rng, share=0.1), rng), rng)
        np.testing.assert_array_equal(made, resample(expected, rng, points=64))
        seen.add((crop, cut))
    assert len(seen) == 4
    assert module.TRIES == 10


@pytest.mark.parametrize("count", [1, 2, 7, 30])
def test_clouds_of_few_points(count: int) -> None:
    for seed, cloud in enumerate([np.zeros((count, 3), np.float32), np.random.default_rng(0).normal(size=(count, 3))]):
        for view in (lambda c, r: strl(c, r, points=16), box_crop, cutout, lambda c, r: upsample(c, r, points=40)):
            made = view(cloud.astype(np.float32), np.random.default_rng(seed))
            assert len(made) >= 1
            assert np.isfinite(made).all()


def method() -> Method:
    torch.manual_seed(0)
    data = registry().load("method", "strl")
    for head in ("projector", "predictor"):
        data["branches"]["online"][head] |= {"hidden": 16, "norm": "none"}  # BatchNorm's statistics are a process's own
    data["branches"]["online"]["projector"]["out"] = 8
    return Method.from_data(data, {"pointcloud": PointNet(emb=24, width=0.25)}).double()


def batch(seed: int, n: int = 4) -> Batch:
    draw = torch.Generator().manual_seed(seed)
    ids = torch.arange(n)
    views = {
        f"pointcloud/{s}": ViewBatch(torch.randn(n, 10, 3, dtype=torch.float64, generator=draw), "pointcloud", ids)
        for s in "ab"
    }
    return Batch(ids, views, {})


def test_the_loss_is_byols() -> None:
    """regression_loss of base_model.py both ways, values and gradients; the target moves by the cosine of the code."""
    made, now = method(), batch(0)
    made.clock.start(steps_per_epoch=2, epochs=2)
    value = made(now).loss
    value.backward()
    grads = {n: p.grad.clone() for n, p in made.named_parameters() if p.grad is not None}
    made.zero_grad()
    tables = outputs(made, now)
    p, t = (tables.rows(name).z.chunk(2) for name in ("online", "target"))
    expected = ref.byol(*p, *t)
    torch.testing.assert_close(value, expected, rtol=1e-9, atol=1e-12)
    expected.backward()
    assert grads
    for name, parameter in made.named_parameters():
        if parameter.grad is not None:
            torch.testing.assert_close(grads[name], parameter.grad, rtol=1e-7, atol=1e-10)
    twin = made.towers.twins["twin_0"].momentum
    for step in range(4):
        made.clock.step.fill_(step)
        assert made.clock.at(twin) == pytest.approx(1 - (1 - 0.996) * (np.cos(np.pi * step / 4) + 1) / 2)


def test_its_heads_are_the_authors() -> None:
    """Linear without bias, BatchNorm, ReLU, linear without bias: projector to 256, predictor from there."""
    torch.manual_seed(0)
    made = Method.from_data(registry().load("method", "strl"), {"pointcloud": PointNet(emb=24, width=0.25)})
    shapes = {n.partition(".net.")[2]: tuple(p.shape) for n, p in made.towers.predictors.named_parameters()}
    assert shapes == {"0.weight": (4096, 256), "1.weight": (4096,), "1.bias": (4096,), "3.weight": (256, 4096)}
    shapes = {n.partition(".net.")[2]: tuple(p.shape) for n, p in made.towers.projectors.named_parameters()}
    assert shapes["3.weight"] == (256, 4096)
    assert "3.bias" not in shapes


def test_two_processes_train_as_one() -> None:
    assert_ddp_equivalent(method().eval(), [batch(seed) for seed in range(2)])
