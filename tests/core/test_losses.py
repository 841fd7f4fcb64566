"""Pair losses: tiles join exactly whatever the weights, and the options that no preset uses equal a plain formula."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.reference import formulas as ref
from torch import Tensor
from torch.nn import functional as F

from contrapose.losses.engine import DENSE, Engine, pair_loss
from contrapose.losses.nce import NCE
from contrapose.losses.pair import Block, PairLoss
from contrapose.losses.similarity import dot, euclidean, volume
from contrapose.losses.simple import Cosine, Margin, Sigmoid
from contrapose.types import Pairs, Rows

LOSSES: dict[str, PairLoss] = {
    "all": NCE(),
    "negatives": NCE(denominator="negatives"),
    "own": NCE(denominator="own"),
    "in": NCE(positives="in"),
    "debiased": NCE(negatives="debiased"),
    "hard": NCE(negatives="hard", beta=0.7),
    "hard, decoupled": NCE(negatives="hard", denominator="negatives"),
    "cosine": Cosine(),
    "sigmoid": Sigmoid(),
    "margin": Margin(0.5),
}


@dataclass
class Given:
    """A plan that was written down."""

    pos: Tensor
    den: Tensor
    row: Tensor | None = None
    attract: Tensor | None = None

    def tile(self, block: int, i: slice, j: slice) -> Pairs:
        def part(x: Tensor | None) -> Tensor | None:
            return None if x is None else x[i]

        return Pairs(self.pos[i, j], self.den[i, j], part(self.row), part(self.attract))


def total(loss: PairLoss, q: Tensor, k: Tensor, plan: Given, scale: Tensor, engine: Engine) -> Tensor:
    value, weight = pair_loss([Block(q, Rows(k, {}), dot, scale, None)], plan, loss, scale, engine)
    return (value * weight).sum() / weight.sum().clamp_min(1e-30)


@pytest.mark.parametrize("name", LOSSES)
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_tiles_join_exactly(name: str, data: Any) -> None:
    n, m, d = (data.draw(st.integers(1, 9)) for _ in range(3))
    g = torch.Generator().manual_seed(data.draw(st.integers(0, 10**6)))

    def drawn(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=g, dtype=torch.float64)

    q, k = F.normalize(drawn(n, d) - 0.5, dim=1), F.normalize(drawn(m, d) - 0.5, dim=1)
    if data.draw(st.booleans()):
        k = k[torch.randint(0, m, (m,), generator=g)]  # duplicates
    pos = drawn(n, m) * (drawn(n, m) < 0.3)
    plan = Given(pos, (drawn(n, m) < 0.7).double() * drawn(n, m), drawn(n), drawn(n))
    leaves = [
        x.clone().requires_grad_()
        for x in (q, k, torch.tensor(data.draw(st.sampled_from([1.0, 10.0, 100.0]))).double())
    ]
    found = []
    for engine in (DENSE, Engine("tiled", data.draw(st.integers(1, 4)))):
        loss = total(LOSSES[name], leaves[0], leaves[1], plan, leaves[2], engine)
        found.append([loss, *torch.autograd.grad(loss, leaves)])
    for dense, tiled in zip(*found, strict=True):
        assert dense.isfinite().all()
        torch.testing.assert_close(tiled, dense, rtol=1e-11, atol=1e-12)


def test_own_contrasts_each_positive_with_itself_and_the_negatives() -> None:
    g = torch.Generator().manual_seed(0)
    q, k = (F.normalize(torch.randn(n, 3, generator=g, dtype=torch.float64), dim=1) for n in (4, 6))
    pos = (torch.rand(4, 6, generator=g) < 0.4).double()
    den = (torch.rand(4, 6, generator=g) < 0.8).double()
    value, weight = pair_loss([Block(q, Rows(k, {}), dot, 5.0, None)], Given(pos, den), LOSSES["own"], 5.0, DENSE)
    for i in range(4):
        s = 5.0 * k @ q[i]
        negatives = s[(den[i] > 0) & (pos[i] == 0)]
        each = [torch.logsumexp(torch.cat([s[j : j + 1], negatives]), 0) - s[j] for j in pos[i].nonzero().flatten()]
        assert weight[i] == float(len(each) > 0 and len(negatives) > 0)
        if weight[i]:
            torch.testing.assert_close(value[i], torch.stack(each).mean())


def test_golden_values_of_the_sheet() -> None:
    base = torch.arange(1, 13, dtype=torch.float64).reshape(4, 3)
    z1, z2 = F.normalize(base.sin(), dim=1), F.normalize(base.cos(), dim=1)
    z = torch.cat([z1, z2])
    sample = torch.arange(4).repeat(2)
    same = (sample[:, None] == sample) & ~torch.eye(8, dtype=torch.bool)
    plan = Given(same.double(), 1 - torch.eye(8, dtype=torch.float64))
    for name, wanted in (("all", 2.486873384), ("debiased", 2.532115380), ("negatives", 2.399835163)):
        assert total(LOSSES[name], z, z, plan, torch.tensor(2.0).double(), DENSE).item() == pytest.approx(
            wanted, abs=1e-9
        )
    hard = total(NCE(negatives="hard"), z, z, plan, torch.tensor(2.0).double(), DENSE)
    assert hard.item() == pytest.approx(3.537156916, abs=1e-9)


@pytest.mark.parametrize("others", [1, 2, 3])
def test_volume_is_the_root_of_the_gram_determinant_both_ways_round(others: int) -> None:
    g = torch.Generator().manual_seed(others)
    q = F.normalize(torch.randn(5, 6, generator=g, dtype=torch.float64), dim=-1)
    k = F.normalize(torch.randn(4, others, 6, generator=g, dtype=torch.float64), dim=-1)
    found = volume(q, k)
    for i in range(5):
        for j in range(4):
            wanted = ref.gram_volume([q[i], *k[j]], eps=1e-8)
            torch.testing.assert_close(found[i, j], -wanted, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(volume(k, q), found.T)


def test_volume_has_a_gradient_at_perfect_alignment() -> None:
    q = F.normalize(torch.ones(1, 4, dtype=torch.float64), dim=1).requires_grad_()
    volume(q, q.detach()[:, None].expand(1, 2, 4)).sum().backward()
    assert q.grad is not None
    assert q.grad.isfinite().all()


def test_euclidean_is_minus_the_distance_and_has_a_gradient_at_zero() -> None:
    q = torch.eye(3, dtype=torch.float64).requires_grad_()
    s = euclidean(q, q)
    torch.testing.assert_close(s, -torch.cdist(q, q), rtol=0, atol=2e-6)
    s.sum().backward()
    assert q.grad is not None
    assert q.grad.isfinite().all()
