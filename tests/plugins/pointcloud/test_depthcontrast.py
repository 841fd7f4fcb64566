"""DepthContrast: the view is its steps in order, the loss the authors' four cross entropies."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from contrapose import Method
from contrapose.plugins import registry
from contrapose.testing import assert_ddp_equivalent
from contrapose.testing.toy import outputs
from contrapose.types import Batch, ViewBatch
from contrapose_pointcloud.encoders import PointNet
from contrapose_pointcloud.regions import depthcontrast

SLOTS = ("point", "point_key", "voxel", "voxel_key")


def test_the_view_keeps_shape_up_to_a_mirror_and_a_scale(cloud: NDArray[np.float32]) -> None:
    """Distances are those of the points that stay, times one factor; half of the views are mirrored."""
    numbered = np.concatenate([cloud, np.arange(len(cloud))[:, None]], axis=1).astype(np.float32)
    mirrored, factors = [], []
    for seed in range(200):
        made = depthcontrast(numbered, np.random.default_rng(seed), points=64).astype(np.float64)
        of = cloud[made[:, 3].astype(int)].astype(np.float64)
        matrix = np.linalg.lstsq(of, made[:, :3], rcond=None)[0]
        volume = np.linalg.det(matrix)
        factor = np.cbrt(np.abs(volume))
        np.testing.assert_allclose(matrix @ matrix.T, np.eye(3) * factor**2, atol=1e-2)
        mirrored.append(volume < 0)
        factors.append(factor)
    assert 0.4 < np.mean(mirrored) < 0.6
    assert 0.79 < min(factors) < 0.82
    assert 1.18 < max(factors) < 1.21


def method() -> Method:
    torch.manual_seed(0)
    data = registry().load("method", "depthcontrast")
    for name in ("point_queue", "voxel_queue"):
        data["sources"][name]["size"] = 8  # two batches of four
    for name in ("point", "voxel"):
        data["branches"][name]["projector"] |= {"hidden": 16, "out": 8}
    return Method.from_data(
        data, {"point": PointNet(emb=24, width=0.25), "voxel": PointNet(emb=16, width=0.25)}
    ).double()


def batch(seed: int, n: int = 4) -> Batch:
    draw = torch.Generator().manual_seed(seed)
    data = {s: torch.randn(n, 10, 3, dtype=torch.float64, generator=draw) for s in SLOTS}
    ids = torch.arange(n)
    return Batch(ids + 4 * seed, {f"pointcloud/{s}": ViewBatch(d, "pointcloud", ids) for s, d in data.items()}, {})


def cross_entropy(q: Tensor, k: Tensor, queue: Tensor) -> Tensor:
    """criterions/nce_loss_moco.py: the positive first, then the queue of that format."""
    q, k = F.normalize(q, dim=1), F.normalize(k, dim=1).detach()
    logits = torch.cat([(q * k).sum(1, keepdim=True), q @ queue.T], dim=1) / 0.1
    return F.cross_entropy(logits, torch.zeros(len(q), dtype=torch.int64))


def test_the_loss_is_the_authors() -> None:
    """Half of each of the four terms, queues and momentum twins as they stand after two steps; values and gradients."""
    made = method()
    made.clock.start(steps_per_epoch=1, epochs=4)
    past: dict[str, list[Tensor]] = {"point_key": [], "voxel_key": []}
    for seed in range(2):
        with torch.no_grad():
            for name in past:
                past[name].append(F.normalize(outputs(made, batch(seed)).rows(name).z, dim=1))
        made(batch(seed)).loss.backward()
        torch.optim.SGD([p for p in made.parameters() if p.requires_grad], 0.1).step()
        made.zero_grad()
        made.advance()
    now = batch(2)
    made(now).loss.backward()
    grads = {n: p.grad.clone() for n, p in made.named_parameters() if p.grad is not None}
    value = made(now).loss.detach()
    made.zero_grad()
    found = outputs(made, now)
    z = {name: found.rows(name).z for name in SLOTS}
    queues = {name: torch.cat(rows) for name, rows in past.items()}
    expected = 0.5 * sum(
        cross_entropy(z[query], z[key], queues[key])
        for query in ("point", "voxel")
        for key in ("point_key", "voxel_key")
    )
    torch.testing.assert_close(value, expected, rtol=1e-9, atol=1e-12)
    expected.backward()
    assert len(grads) == sum(p.requires_grad for p in made.parameters())
    for name, parameter in made.named_parameters():
        if parameter.grad is not None:
            torch.testing.assert_close(grads[name], parameter.grad, rtol=1e-7, atol=1e-10)


def test_two_processes_train_as_one() -> None:
    assert_ddp_equivalent(method(), [batch(seed) for seed in range(3)])
