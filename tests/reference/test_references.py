"""The references give the golden values of the method sheet (section 2.1), and detach what the methods detach."""

import pytest
import torch
from torch import Tensor

from . import formulas as ref

TAU = 0.5


def _golden() -> dict[str, tuple[Tensor, float]]:
    i = torch.arange(1, 13, dtype=torch.float64).reshape(4, 3)
    x, y, w = i.sin(), i.cos(), (2 * i).sin()
    z1, z2, z3 = ref.unit(x), ref.unit(y), ref.unit(w)
    queue = ref.unit((3 * torch.arange(1, 16, dtype=torch.float64)).sin().reshape(5, 3))
    stacked, labels = torch.cat([z1, z2]), torch.tensor([0, 1, 0, 2]).repeat(2)
    mined = torch.zeros(4, 5)
    mined[:, 1] = 1  # column 2 of [pos, queue]; column 0 is the own key
    codes = ref.sinkhorn(z1 @ queue.T)
    volumes = torch.stack([ref.gram_volume(rows) for rows in zip(z1, z2, z3, strict=True)])
    return {
        "NT-Xent": (ref.nt_xent(z1, z2, TAU), 2.486873384),
        "SupCon": (ref.supcon_out(stacked, labels, TAU), 2.156730296),
        "SupCon, base tau 0.07": (ref.supcon_out(stacked, labels, TAU, 0.07), 15.405216397),
        "Debiased": (ref.debiased(z1, z2, TAU, 0.1), 2.532115380),
        "HCL": (ref.hcl(z1, z2, TAU, 0.1, 1.0), 3.537156916),
        "DCL": (ref.dcl(z1, z2, TAU), 2.399835163),
        "DCLW": (ref.dclw(z1, z2, TAU, 0.5), 2.400818506),
        "MoCo": (ref.moco(z1, z2, queue, TAU), 1.826657588),
        "InfoNCE": (ref.info_nce(z1, z2, TAU), 1.516280429),
        "CLIP": (ref.clip(z1, z2, 1 / TAU), 1.517073180),
        "SigLIP": (ref.siglip(z1, z2, 10.0, -10.0), 10.224860183),
        "SCARF": (ref.scarf(z1, z2), 0.043936121),
        "VICReg": (ref.vicreg(x, y), 33.738021657),
        "Barlow Twins": (ref.barlow_twins(x, y, 0.005), 7.005405196),
        "CC cluster": (ref.cc_cluster(x.softmax(1), y.softmax(1)), 1.551637141),
        "MMCR": (ref.mmcr([z1, z2]), -1.600992271),
        "Symile": (ref.symile_anchor(z1, [z2, z3], 2.0), 2.214039475),
        "GRAM volume": (volumes.mean(), 0.346481075),
        "CoCLR": (ref.coclr(z1, z2, queue, mined, TAU), 1.101194803),
        "SwAV": (ref.swav([z1, z2], queue), 2.006082410),
        "Sinkhorn[0,0]": (codes[0, 0], 0.017387242),
        "Sinkhorn[3,4]": (codes[3, 4], 0.078358430),
        "BYOL": (ref.byol(z1, z2, z1, z2), 4.089393663),
    }


@pytest.mark.parametrize("name", list(_golden()))
def test_golden_value(name: str) -> None:
    value, expected = _golden()[name]
    assert value.dtype == torch.float64
    assert value.item() == pytest.approx(expected, abs=1e-9)


def _leaf(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)).requires_grad_()


def test_keys_queues_and_teachers_get_no_gradient() -> None:
    """Only the query learns in the momentum methods."""
    q, k, queue = _leaf(0, 4, 6), _leaf(1, 4, 6), _leaf(2, 5, 6)
    dq, dk, bq, bk, dense_queue = (_leaf(3 + n, *shape) for n, shape in enumerate([(4, 3, 6)] * 4 + [(5, 6)]))
    synthetic, logits = _leaf(9, 4, 2, 6), _leaf(10, 4, 3)
    labels, queue_labels = torch.tensor([0, 1, 0, 2]), torch.tensor([0, 1, 2, 0, 1])
    chosen, prior = torch.ones(4, 5), torch.full((3,), 1 / 3, dtype=torch.float64)
    losses = {
        "moco": ref.moco(q, k, queue),
        "densecl": ref.densecl(q, k, dq, dk, bq, bk, queue, dense_queue),
        "mochi": ref.mochi(q, k, queue, synthetic),
        "kcl": ref.kcl(q, k, queue, chosen),
        "coclr": ref.coclr(q, k, queue, torch.eye(4, 5)),
        "paco": ref.paco(q, k, queue, labels, queue_labels, logits, prior),
        "byol": ref.byol(q, q, k, k),
        "simsiam": ref.simsiam(q, q, k, k),
        "dino": ref.dino([q, q], [k, k], torch.zeros(6)),
        "proto_nce": ref.proto_nce(q, k, queue, [queue], [labels], [torch.ones(5)]),
    }
    constants = [k, queue, dk, bq, bk, dense_queue, synthetic]
    for name, loss in losses.items():
        gradient, *others = torch.autograd.grad(loss, [q, *constants], allow_unused=True)
        assert gradient.norm() > 0, name
        assert all(g is None or g.norm() == 0 for g in others), name
    assert torch.autograd.grad(ref.densecl(q, k, dq, dk, bq, bk, queue, dense_queue), dq)[0].norm() > 0


def test_swav_codes_carry_no_gradient() -> None:
    """The queue of scores shapes the codes only, so it gets none."""
    scores, queued = [_leaf(n, 6, 4) for n in range(3)], [_leaf(5 + n, 8, 4) for n in range(2)]
    grads = torch.autograd.grad(ref.swav_from_scores(scores, queued), scores + queued, allow_unused=True)
    assert all(g is not None for g in grads[:3])
    assert all(g is None for g in grads[3:])


def test_dclw_detached_weight_changes_the_gradient_and_not_the_value() -> None:
    z1, z2 = _leaf(0, 6, 5), _leaf(1, 6, 5)
    held, free = ref.dclw(z1, z2, detach=True), ref.dclw(z1, z2, detach=False)
    assert torch.allclose(held, free, atol=1e-14, rtol=0)
    assert not torch.allclose(torch.autograd.grad(held, z1)[0], torch.autograd.grad(free, z1)[0], atol=1e-3)
    assert torch.autograd.gradcheck(lambda a, b: ref.dclw(a, b, 0.5, detach=False), (z1, z2))
