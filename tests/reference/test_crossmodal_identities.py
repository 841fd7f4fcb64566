"""Identities of the cross-modal and tabular references: GRAM, Symile, CrossPoint, VIME."""

import math

import torch
from torch.nn import functional as F

from . import formulas as ref
from .test_identities import SEEDS, SHAPE, draw, same


@SEEDS
def test_gram_volume(seed: int) -> None:
    a, b, c = draw(seed, (3,), (3,), (3,))
    same(ref.gram_volume([a, b]), (1 - (ref.unit(a) @ ref.unit(b)) ** 2).sqrt())
    same(ref.gram_volume([a, b, c]), torch.stack([ref.unit(v) for v in (a, b, c)]).det().abs())
    same(ref.gram_volume([a, -b, c]), ref.gram_volume([a, b, c]))
    same(ref.gram_volume([a, a, a]), 0.0, 1e-7)
    same(ref.gram_volume(list(torch.eye(3, dtype=torch.float64))), 1.0)


def test_gram_gradient_at_perfect_alignment_needs_an_epsilon() -> None:
    a = torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64, requires_grad=True)
    (bare,) = torch.autograd.grad(ref.gram_volume([a, a]), a)
    (safe,) = torch.autograd.grad(ref.gram_volume([a, a], eps=1e-12), a)
    assert bare.isnan().any()
    assert safe.isfinite().all()


@SEEDS
def test_gram_loss_is_two_smoothed_cross_entropies(seed: int) -> None:
    a, b, c = draw(seed, SHAPE, SHAPE, SHAPE)
    u, v, w = ref.unit(a), ref.unit(b), ref.unit(c)
    uv, uw, vw = u @ v.T, u @ w.T, (v * w).sum(1)
    volume = (1 + 2 * uv * uw * vw - uv**2 - uw**2 - vw**2).abs().sqrt()  # 3 x 3 determinant by hand
    logits, target = -volume / 0.07, torch.arange(6)
    forth = F.cross_entropy(logits, target, label_smoothing=0.1)
    back = F.cross_entropy(logits.T, target, label_smoothing=0.1)
    same(ref.gram(a, [b, c]), (forth + back) / 2, 1e-10)


@SEEDS
def test_symile(seed: int) -> None:
    x, y, z = draw(seed, SHAPE, SHAPE, SHAPE)
    ones = torch.ones(6, 5, dtype=torch.float64)  # unit rows are 1/sqrt(5)
    same(ref.symile_anchor(x, [y, ones], 4 * math.sqrt(5)), ref.info_nce(x, y, 0.25) + math.log(6))
    logits = 4 * torch.einsum("id,jd,kd->ijk", ref.unit(x), ref.unit(y), ref.unit(z))
    brute = [F.cross_entropy(logits.movedim(m, 0).flatten(1), torch.arange(6) * 7) for m in range(3)]
    same(ref.symile(x, y, z, 4.0), torch.stack(brute).mean())


@SEEDS
def test_crosspoint_means_before_normalising(seed: int) -> None:
    a, b, image = draw(seed, SHAPE, SHAPE, SHAPE)
    same(ref.crosspoint(a, b, image), ref.nt_xent(a, b) + ref.nt_xent((a + b) / 2, image))
    assert not torch.isclose(ref.nt_xent((a + b) / 2, image), ref.nt_xent(ref.unit(a) + ref.unit(b), image))


@SEEDS
def test_vime(seed: int) -> None:
    x, logits, recon = draw(seed, (6, 3), (6, 3), (6, 3))
    x[:, 0] = x[0, 0]  # a constant column: corrupting it changes nothing, so its target stays 0
    order = torch.stack([torch.randperm(6, generator=torch.Generator().manual_seed(seed + n)) for n in range(3)], dim=1)
    mask = torch.rand(6, 3, generator=torch.Generator().manual_seed(seed)) < 0.5
    changed = ref.vime_corrupt(x, mask, order)
    assert torch.equal(changed[~mask], x[~mask])
    for f in range(3):
        assert set(changed[:, f].tolist()) <= set(x[:, f].tolist())
    target = (changed != x).double()
    assert target[:, 0].sum() == 0
    expected = F.binary_cross_entropy_with_logits(logits, target) + 2 * F.mse_loss(recon, x)
    same(ref.vime(x, changed, logits, recon), expected)
