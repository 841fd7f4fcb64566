"""The margin references: pytorch-metric-learning, the authors' own numbers, and what must follow from the formulas."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from . import formulas as ref
from .test_identities import SEEDS, SHAPE, draw, same
from .test_peers import PAIR, agree


def _golden() -> list[torch.Tensor]:
    i = torch.arange(1, 13, dtype=torch.float64).reshape(4, 3)
    return [ref.unit(i.sin()), ref.unit(i.cos())]


@pytest.mark.parametrize(
    ("sigma", "bound", "expected"),
    [(10.0, None, 0.047598938), (1.0, None, 0.193634567), (50.0, 100.0, 0.018850716), (1.0, 0.5, 0.033073062)],
)
def test_max_margin_is_the_authors_code(sigma: float, bound: float | None, expected: float) -> None:
    """MMCL_inv of anshulbshah/MMCL, CIFAR100/svm_losses.py, run in float64 on the golden inputs."""
    assert ref.mmcl(*_golden(), sigma, 0.1, bound).item() == pytest.approx(expected, abs=1e-9)


def test_max_margin_takes_its_weights_as_constants() -> None:
    x, z = (t.requires_grad_() for t in _golden())
    gradient, _ = torch.autograd.grad(ref.mmcl(x, z), [x, z])
    alpha = ref.mmcl_weights(x)
    held = torch.exp(-((z.detach()[:, None] - ref.unit(x)[None]) ** 2).sum(-1) / 10)
    same(gradient, torch.autograd.grad((alpha * (held - held.diagonal()[:, None])).sum(1).mean(), x)[0])


@SEEDS
def test_n_pair_is_info_nce_of_raw_rows_and_a_penalty(seed: int) -> None:
    a, p = draw(seed, SHAPE, SHAPE)
    same(ref.n_pair(a, p, 0.0), F.cross_entropy(a @ p.T, torch.arange(6)))
    same(ref.n_pair(a, p) - ref.n_pair(a, p, 0.0), 0.0005 * ((a**2).sum() + (p**2).sum()) / 6)


@SEEDS
def test_margin_by_matrices(seed: int) -> None:
    (z,) = draw(seed, (8, 5))
    ids = torch.tensor([0, 0, 1, 1, 1, 2, 2, 3])  # 3 is alone: it repels only
    d = torch.cdist(ref.unit(z), ref.unit(z))
    positive = (ids[:, None] == ids) & ~torch.eye(8, dtype=torch.bool)
    negative = ids[:, None] != ids
    near = (positive * d**2 / 2).sum(1) / positive.sum(1).clamp_min(1)
    far = (negative * F.relu(1.2 - d) ** 2 / 2).sum(1) / negative.sum(1)
    same(ref.margin_contrastive(z, ids, 1.2), (near + far).mean(), 1e-7)
    pairs = torch.arange(4).repeat(2)
    same(ref.margin_contrastive(z, pairs, 0.0), ref.byol(z[:4], z[4:], z[:4], z[4:]) / 4)  # attraction alone


@SEEDS
@pytest.mark.reference
def test_pytorch_metric_learning(seed: int) -> None:
    losses = pytest.importorskip("pytorch_metric_learning.losses")
    miners = pytest.importorskip("pytorch_metric_learning.miners")
    distances = pytest.importorskip("pytorch_metric_learning.distances")
    raw = distances.DotProductSimilarity(normalize_embeddings=False)
    n_pair, ids = losses.NPairsLoss(distance=raw), torch.arange(7).repeat(2)
    agree(lambda a, b: ref.n_pair(a, b, 0.0), lambda a, b: n_pair(torch.cat([a, b]), ids), seed, PAIR, 1e-10)
    squared = distances.LpDistance(power=2)
    miner = miners.TripletMarginMiner(margin=0.2, type_of_triplets="semihard", distance=squared)
    triplet, labels = losses.TripletMarginLoss(margin=0.2, distance=squared), torch.tensor([0, 0, 0, 1, 1, 2, 3])
    agree(
        lambda z: ref.triplet_semihard(z, labels), lambda z: triplet(z, labels, miner(z, labels)), seed, [(7, 5)], 1e-7
    )
