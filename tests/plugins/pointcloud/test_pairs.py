"""Two partial views whose points correspond, and the method that pairs them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from contrapose import ConfigError, Method, build
from contrapose.plugins import registry
from contrapose.testing import assert_ddp_equivalent
from contrapose.types import Batch, ViewBatch
from contrapose_pointcloud.encoders import PointNet
from contrapose_pointcloud.pairs import partial, pointcontrast

Points = NDArray[np.float32]


def numbered(points: Points) -> Points:
    return np.concatenate([points, np.arange(len(points))[:, None]], axis=1).astype(np.float32)


@pytest.mark.parametrize("view", [partial, pointcontrast])
def test_the_first_points_of_both_are_the_same(view: object, cloud: Points) -> None:
    for seed in range(30):
        a, b = view(numbered(cloud), np.random.default_rng(seed), points=80, pairs=20)  # type: ignore[operator]
        assert (a.name, b.name) == ("a", "b")
        assert a.data.shape == b.data.shape == (80, 4)
        np.testing.assert_array_equal(a.data[:20, 3], b.data[:20, 3])
        assert len(set(a.data[:20, 3])) == 20
        for made in (a, b):
            assert not set(made.data[20:, 3]) & set(made.data[:20, 3])


def test_parts_are_partial_and_overlap(cloud: Points) -> None:
    """With every point of a part drawn: what it lacks, and what both have."""
    shares = []
    for seed in range(100):
        a, b = (set(v.data[:, 3]) for v in partial(numbered(cloud), np.random.default_rng(seed), points=4000, pairs=1))
        assert len(a | b) == len(cloud)  # each point lies on one side
        assert abs(len(a) - len(b)) == 0
        shares.append(len(a & b) / len(a))
    assert min(shares) >= 0.3 - 0.01
    assert min(shares) < 0.4
    assert max(shares) > 0.9
    whole = partial(numbered(cloud), np.random.default_rng(0), points=4000, pairs=1, overlap=1.0)
    assert all(len(set(v.data[:, 3])) == len(cloud) for v in whole)


def test_a_plane_parts_them(cloud: Points) -> None:
    """What only one part has lies wholly to one side of what only the other has."""
    for seed in range(20):
        a, b = partial(numbered(cloud), np.random.default_rng(seed), points=4000, pairs=1, overlap=0.3)
        only = [set(x.data[:, 3]) - set(y.data[:, 3]) for x, y in ((a, b), (b, a))]
        if min(map(len, only)) < 20:
            continue
        direction = np.random.default_rng(seed).normal(size=3)  # what the view draws first
        low, high = (cloud[[int(i) for i in o]] @ direction for o in only)
        assert low.max() < high.min()


def test_pairs_are_turned_apart_but_hold_together(cloud: Points) -> None:
    a, b = (v.data[:40] for v in pointcontrast(cloud, np.random.default_rng(1), points=100, pairs=40))
    assert np.abs(a - b).max() > 0.5
    np.testing.assert_allclose(
        np.linalg.norm(a[:, None] - a, axis=2), np.linalg.norm(b[:, None] - b, axis=2), atol=1e-4
    )


@pytest.mark.parametrize("count", [1, 2, 3, 40])
def test_few_points_are_repeated(count: int) -> None:
    for seed in range(20):
        cloud = numbered(np.random.default_rng(seed).normal(size=(count, 3)).astype(np.float32))
        a, b = partial(cloud, np.random.default_rng(seed), points=64, pairs=64)
        np.testing.assert_array_equal(a.data[:, 3], b.data[:, 3])
        for v in pointcontrast(cloud, np.random.default_rng(seed), points=32, pairs=8):
            assert v.data.shape == (32, 4)
            assert np.isfinite(v.data).all()


def method(positions: int) -> Method:
    torch.manual_seed(0)
    data = registry().load("method", "pointcontrast")
    data["branches"]["first"]["projector"] |= {"positions": positions}
    return Method.from_data(data, {"pointcloud": PointNet(emb=24, width=0.25)}).double()


def batch(a: Tensor, b: Tensor) -> Batch:
    ids = torch.arange(len(a)) + 5
    return Batch(ids, {f"pointcloud/{n}": ViewBatch(d, "pointcloud", ids - 5) for n, d in (("a", a), ("b", b))}, {})


def clouds(n: int, points: int, seed: int) -> Tensor:
    return torch.randn(n, points, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_the_loss_is_point_info_nce() -> None:
    """PointNCELossTrainer, written out: cross entropy of q kᵀ / 0.07 over the pairs of the whole batch; values and gradients."""
    made, a, b = method(positions=6), clouds(3, 20, 1), clouds(3, 20, 2)
    value = made(batch(a, b)).loss
    value.backward()
    grads = {n: p.grad.clone() for n, p in made.named_parameters() if p.grad is not None}
    made.zero_grad()
    encoder, head = made.encoders["pointcloud"], next(m for m in made.modules() if type(m).__name__ == "Leading")
    linear = next(m for m in head.modules() if isinstance(m, nn.Linear))
    both = encoder(torch.cat([a, b]))["dense"][:, :6]
    q, k = F.normalize(linear(both), dim=-1).chunk(2)
    q, k = q.flatten(0, 1), k.flatten(0, 1)
    expected = F.cross_entropy(q @ k.T / 0.07, torch.arange(len(q)))
    torch.testing.assert_close(value, expected, rtol=1e-9, atol=1e-12)
    expected.backward()
    assert grads
    for name, parameter in made.named_parameters():
        if parameter.grad is not None:
            torch.testing.assert_close(grads[name], parameter.grad, rtol=1e-7, atol=1e-10)


def test_points_beyond_the_pairs_are_no_pairs() -> None:
    """Their order says nothing: PointNet treats points alike, so the loss stays."""
    made, a, b = method(positions=6), clouds(3, 20, 1), clouds(3, 20, 2)
    mixed = torch.cat([b[:, :6], b[:, 6:].flip(1)], dim=1)
    torch.testing.assert_close(made(batch(a, b)).loss, made(batch(a, mixed)).loss, rtol=1e-9, atol=1e-12)
    assert not torch.isclose(made(batch(a, b)).loss, made(batch(a, b.flip(1))).loss)


def test_a_tap_without_positions_is_refused() -> None:
    with pytest.raises(ConfigError, match="tap: dense"):
        build("head", {"use": "pointcloud/leading"}, dim=4)(torch.zeros(2, 4))


def test_two_processes_train_as_one() -> None:
    assert_ddp_equivalent(
        method(positions=6), [batch(clouds(5, 20, 2 * n), clouds(5, 20, 2 * n + 1)) for n in range(2)]
    )
