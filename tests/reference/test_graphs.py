"""The references over several modalities: what must follow from the formulas."""

from __future__ import annotations

import math

import torch
from torch.nn import functional as F

from . import formulas as ref
from .test_identities import SEEDS, SHAPE, draw, same


@SEEDS
def test_cmc_is_clip_for_two_and_its_core_a_part(seed: int) -> None:
    a, b, c = draw(seed, SHAPE, SHAPE, SHAPE)
    same(ref.cmc([a, b], 0.1), 2 * ref.clip(a, b, 10.0))
    same(ref.cmc([a, b, c], 0.1), ref.cmc([a, b, c], 0.1, core=True) + ref.both_ways(b, c, 0.1))


@SEEDS
def test_simcl_by_matrices(seed: int) -> None:
    """The decoupled loss over a row and a column at once; symmetric in its modalities."""
    a, b = draw(seed, SHAPE, SHAPE)
    s = ref.unit(a) @ ref.unit(b).T / 0.2
    others = s.masked_fill(torch.eye(6, dtype=torch.bool), -math.inf)
    same(ref.simcl(a, b, 0.2), (torch.logsumexp(torch.cat([others, others.T], 1), 1) - s.diagonal()).mean())
    same(ref.simcl(a, b, 0.2), ref.simcl(b, a, 0.2))


@SEEDS
def test_symile_of_any_order(seed: int) -> None:
    x, y, z, w = draw(seed, *[(4, 5)] * 4)
    same(ref.symile_rows(x, [y, z], 3.0), ref.symile_anchor(x, [y, z], 3.0))
    logits = 3 * torch.einsum("id,jd,kd,ld->ijkl", *(ref.unit(t) for t in (x, y, z, w))).flatten(1)
    same(ref.symile_rows(x, [y, z, w], 3.0), F.cross_entropy(logits, torch.arange(4) * 21))
    same(ref.symile_rows(x, [y], 3.0), ref.info_nce(x, y, 1 / 3))
    together = [[0, 1, 2, 3]] * 2  # the products move together: InfoNCE with them
    joint = 3 * ref.unit(x) @ (ref.unit(y) * ref.unit(z)).T
    same(ref.symile_rows(x, [y, z], 3.0, together), F.cross_entropy(joint, torch.arange(4)))


@SEEDS
def test_tcl(seed: int) -> None:
    """Alignment alone with hard targets and no queue is CLIP; one part a sample is InfoNCE; the targets' share is linear."""
    a, b, u, v, qa, qb = draw(seed, *[SHAPE] * 4, (9, 5), (9, 5))
    same(ref.parts_nce(a, b[:, None], 0.1), ref.info_nce(a, b, 0.1))
    none, parts = [u[:0], v[:0]], [u[:, None], v[:, None]]
    within = sum(ref.info_nce(m, k, 0.1) for m, k in ((a, u), (b, v)))
    across = ref.info_nce(a, v, 0.1) + ref.info_nce(b, u, 0.1)
    same(ref.tcl([a, b], [u, v], parts, none, 0.1, alpha=0.0), (across + 2 * within) / 6)
    same((ref.info_nce(a, b, 0.1) + ref.info_nce(b, a, 0.1)) / 2, ref.clip(a, b, 10.0))
    hard, soft, half = (ref.tcl([a, b], [u, v], parts, [qa, qb], 0.1, alpha=w) for w in (0.0, 1.0, 0.5))
    same(half, (hard + soft) / 2)


def test_the_local_term_is_the_authors_code() -> None:
    """in_batch_g2l_loss of uta-smile/TCL, models/model_pretrain.py, run in float64 on these inputs."""
    g = torch.Generator().manual_seed(0)
    whole, parts = (torch.randn(*s, generator=g, dtype=torch.float64) for s in ((6, 5), (6, 4, 5)))
    same(ref.parts_nce(whole, parts, 0.07), 13.807337384818155)
