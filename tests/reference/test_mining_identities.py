"""Identities between the references of banks, mined keys and transformed features."""

import math

import pytest
import torch
from torch.nn import functional as F

from . import formulas as ref
from .test_identities import SEEDS, SHAPE, draw, same


@SEEDS
def test_binary_nce_is_a_logistic_regression(seed: int) -> None:
    """The logit is s / tau - log(m Z / N), own entries are of class 1, drawn ones of class 0."""
    q, own, drawn = draw(seed, SHAPE, SHAPE, (6, 4, 5))
    own, drawn, z, samples = ref.unit(own), ref.unit(drawn), 37.0, 11
    s = torch.cat([(ref.unit(q) * own).sum(1, keepdim=True), torch.einsum("bd,bmd->bm", ref.unit(q), drawn)], dim=1)
    logits = s / 0.3 - math.log(4 * z / samples)
    target = F.one_hot(torch.zeros(6, dtype=torch.long), 5).double()
    each = F.binary_cross_entropy_with_logits(logits, target, reduction="none").sum(1)
    same(ref.nce_binary(q, own, drawn, z, samples, 0.3), each.mean())


@SEEDS
def test_false_negative_cancellation(seed: int) -> None:
    z1, z2 = draw(seed, SHAPE, SHAPE)
    plain = ref.nt_xent(z1, z2, 0.2)
    none, every = torch.zeros(6, 12, dtype=torch.bool), ~torch.eye(6, dtype=torch.bool).repeat(1, 2)
    for how in ("attract", "eliminate"):
        same(ref.fnc([z1, z2], 0.2, above=1.1, cancel=how), plain)
        same(ref.fnc([z1, z2], 0.2, false=none, cancel=how), plain)
        twins = [z1, z2]
        same(ref.fnc([z1, z2], 0.2, above=1.1, cancel=how, twins=twins), plain)  # the twins have the same weights
    same(ref.fnc([z1, z2], 0.2, false=every, cancel="eliminate"), 0.0)
    labels = torch.tensor([0, 0, 1, 1, 1, 2])
    oracle = (labels[:, None] == labels.repeat(2)) & every
    same(ref.fnc([z1, z2], 0.2, false=oracle), ref.supcon_out(torch.cat([z1, z2]), labels.repeat(2), 0.2))
    for above in (-1.0, 0.0, 0.5):
        assert ref.fnc([z1, z2], 0.2, 3, above, "eliminate") <= plain


def test_what_is_mined() -> None:
    """Any view of a sample may find a key; its own views are never found; both limits hold."""
    angle = torch.tensor([0.0, 0.3, 1.5, 1.7, 3.0]).double()
    circle = torch.stack([angle.cos(), angle.sin()], dim=1)
    views = [circle[[0, 2]], circle[[1, 3]]]  # two samples of two views
    keys = torch.cat([*views, circle[4:]])
    assert ref.mined(views, keys, 5, 0.2).tolist() == [
        [False, True, False, False, False],
        [False, False, True, False, True],
    ]
    assert ref.mined(views, keys, 1, 0.2).tolist() == [
        [False, True, False, False, False],
        [False, False, True, False, False],
    ]


@SEEDS
@pytest.mark.parametrize("far", [1.0, 1.4, 2.0])
def test_scalar_extrapolation_makes_a_positive_harder(seed: int, far: float) -> None:
    q, k, queue = draw(seed, SHAPE, SHAPE, (9, 5))
    u, v = ref.unit(q), ref.unit(k)
    s = (u * v).sum(1)
    moved = ((far * u + (1 - far) * v) * (far * v + (1 - far) * u)).sum(1)
    same(moved, s - 2 * far * (far - 1) * (1 - s))
    assert (moved <= s).all()
    number, order = torch.tensor(1.0).double(), torch.arange(9)
    same(ref.ft(q, k, queue, number, number, order, 0.3), ref.moco(q, k, queue, 0.3))


@SEEDS
def test_neighborhood_contrastive_learning(seed: int) -> None:
    q, k, queue = draw(seed, SHAPE, SHAPE, (9, 5))
    nothing = torch.zeros(6, 0, 5, dtype=torch.float64)
    same(ref.ncl(q, k, queue, nothing, 3, own=1.0, tau=0.3), ref.moco(q, k, queue, 0.3))
    near = (ref.unit(q) @ ref.unit(queue).T).topk(3, dim=1).indices
    chosen = torch.zeros(6, 9).scatter(1, near, 1.0)
    same(ref.ncl(q, k, queue, nothing, 3, own=0.25, tau=0.3), ref.kcl(q, k, queue, chosen, 0.3))
    partners = torch.randint(0, 9, (6, 2, 4), generator=torch.Generator().manual_seed(seed))
    mixes = ref.ncl_mixes(q, queue, 4, partners, 3)
    assert mixes.shape == (6, 3, 5)
    same(mixes.norm(dim=-1), torch.ones(6, 3).double())
    same(ref.ncl(q, k, queue, mixes, 3, own=1.0, tau=0.3), ref.mochi(q, k, queue, mixes, 0.3))
