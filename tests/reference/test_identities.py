"""Identities between the references (section 2 of the method sheet), on random inputs."""

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from . import formulas as ref

SEEDS = pytest.mark.parametrize("seed", range(3))
SHAPE = (6, 5)


def draw(seed: int, *shapes: tuple[int, ...]) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(*shape, dtype=torch.float64, generator=generator) for shape in shapes]


def same(a: Tensor, b: Tensor | float, tolerance: float = 1e-12) -> None:
    torch.testing.assert_close(a, torch.as_tensor(b, dtype=a.dtype), atol=tolerance, rtol=0)


@SEEDS
def test_nt_xent_is_supcon_with_unique_labels_debiased_and_hcl_without_correction(seed: int) -> None:
    z1, z2 = draw(seed, SHAPE, SHAPE)
    expected = ref.nt_xent(z1, z2, 0.5)
    labels = torch.arange(6).repeat(2)
    same(ref.supcon_out(torch.cat([z1, z2]), labels, 0.5), expected)
    same(ref.supcon_out(torch.cat([z1, z2]), labels, 0.5, base_tau=0.5), expected)
    same(ref.supcon_in(torch.cat([z1, z2]), labels, 0.5), expected)
    same(ref.debiased(z1, z2, 0.5, tau_plus=0.0), expected)
    same(ref.hcl(z1, z2, 0.5, tau_plus=0.0, beta=0.0), expected)
    same(ref.hcl(z1, z2, 0.5, tau_plus=0.1, beta=0.0), ref.debiased(z1, z2, 0.5, 0.1))


@SEEDS
def test_decoupled(seed: int) -> None:
    z1, z2 = draw(seed, SHAPE, SHAPE)
    same(ref.nt_xent_per_anchor(z1, z2, 0.2), F.softplus(ref.dcl_per_anchor(z1, z2, 0.2)))
    same(ref.dclw_weights(z1, z2).mean(), 1.0)
    same(ref.dclw(z1, z2, 0.2, sigma=1e12), ref.dcl(z1, z2, 0.2), 1e-10)


@SEEDS
def test_supcon_in_is_at_most_out_and_anchors_without_positive_are_skipped(seed: int) -> None:
    (z,) = draw(seed, (8, 5))
    labels = torch.tensor([0, 0, 1, 1, 1, 2, 2, 3])
    assert ref.supcon_in(z, labels) <= ref.supcon_out(z, labels)
    logits = (ref.unit(z) @ ref.unit(z).T / 0.1).masked_fill(torch.eye(8, dtype=torch.bool), -math.inf)
    mask = (labels[:, None] == labels) & ~torch.eye(8, dtype=torch.bool)
    per_anchor = [-logits.log_softmax(1)[i][mask[i]].mean() for i in range(7)]
    same(ref.supcon_out(z, labels), torch.stack(per_anchor).mean())


@pytest.mark.parametrize("count", [2, 5])
def test_collapse_and_perfect_alignment(count: int) -> None:
    ones, eye = torch.ones(count, 7, dtype=torch.float64), torch.eye(count, dtype=torch.float64)
    same(ref.nt_xent(ones, ones), math.log(2 * count - 1))
    same(ref.info_nce(ones, ones), math.log(count))
    same(ref.nt_xent(eye, eye, 0.5), math.log(1 + (2 * count - 2) * math.exp(-2)))
    same(ref.mmcr([eye, eye]), -count)
    same(ref.mmcr([ones, ones]), -math.sqrt(count))
    same(ref.mmcr([eye, eye, eye], lam=1.0) - ref.mmcr([eye, eye, eye]), math.sqrt(3))


@SEEDS
def test_gradient_of_info_nce(seed: int) -> None:
    """(sum_j p_j k_j - k+) / (tau B), less its part along q since q is normalised inside."""
    q, k = draw(seed, SHAPE, SHAPE)
    q, k = ref.unit(q).requires_grad_(), ref.unit(k)
    (gradient,) = torch.autograd.grad(ref.info_nce(q, k, 0.3), q)
    free = (torch.softmax(q @ k.T / 0.3, dim=1) @ k - k) / (0.3 * len(q))
    same(gradient, free - (free * q).sum(dim=1, keepdim=True) * q)


@SEEDS
def test_moco_family(seed: int) -> None:
    q, k, queue = draw(seed, SHAPE, SHAPE, (9, 5))
    same(ref.moco(q, k, queue[:0]), 0.0)
    rows = [ref.moco(q[i : i + 1], k[i : i + 1], torch.cat([k[:i], k[i + 1 :]]), 0.3) for i in range(len(q))]
    same(torch.stack(rows).mean(), ref.info_nce(q, k, 0.3))
    assert ref.moco(q, k, k, 0.3) > ref.info_nce(q, k, 0.3)
    base, none = ref.moco(q, k, queue, 0.3), torch.zeros(6, 9)
    same(ref.kcl(q, k, queue, none, 0.3), base)
    same(ref.coclr(q, k, queue, none, 0.3), base)
    same(ref.coclr(q, k, queue, none + 1, 0.3), 0.0)
    same(ref.mochi(q, k, queue, torch.zeros(6, 0, 5, dtype=torch.float64), 0.3), base)
    grid, *_ = draw(seed + 50, (6, 4, 5))
    same(ref.densecl(q, k, grid, grid, grid, grid, queue, queue, 0.3, lam=0.0), base)
    dense = ref.moco(grid.flatten(0, 1), grid.flatten(0, 1), queue, 0.3)  # every cell matches itself
    same(ref.densecl(q, k, grid, grid, grid, grid, queue, queue, 0.3, lam=1.0), dense)


@SEEDS
def test_mochi_mixes_the_hardest(seed: int) -> None:
    q, queue = draw(seed, SHAPE, (9, 5))
    pairs, own = torch.tensor([[[0, 1]]] * 6), torch.zeros(6, 1, dtype=torch.long)
    alpha, beta = torch.full((6, 1), 0.25, dtype=torch.float64), torch.full((6, 1), 0.4, dtype=torch.float64)
    made = ref.mochi_synthetic(q, queue, 2, pairs, alpha, own, beta)
    sims, order = (ref.unit(q) @ ref.unit(queue).T).topk(2)
    first, second = ref.unit(queue)[order[:, 0]], ref.unit(queue)[order[:, 1]]
    same(made[:, 0], F.normalize(0.25 * first + 0.75 * second))
    same(made[:, 1], F.normalize(0.4 * ref.unit(q) + 0.6 * first))
    assert ((ref.unit(q) * made[:, 1]).sum(1) > sims[:, 0]).all()  # harder than the hardest


@SEEDS
def test_clip_siglip_scarf_byol(seed: int) -> None:
    a, b = draw(seed, SHAPE, SHAPE)
    same(ref.clip(a, b, 1 / 0.3), (ref.info_nce(a, b, 0.3) + ref.info_nce(b, a, 0.3)) / 2)
    assert ref.nt_xent(a, b, 0.3) >= ref.clip(a, b, 1 / 0.3)
    same(ref.scarf(a, b), ref.info_nce(a, b, 1.0) - math.log(6))
    logits = 10 * ref.unit(a) @ ref.unit(b).T - 10
    same(ref.siglip(a, b), (F.softplus(logits).sum() - logits.trace()) / 6)
    same(ref.siglip(a[:1], b[:1]), F.softplus(-logits[0, 0]))
    same(ref.byol(a, b, b, a), 4 + 4 * ref.simsiam(a, b, b, a))


@SEEDS
def test_set_losses(seed: int) -> None:
    x, y = draw(seed, (40, 4), (40, 4))
    same(ref.vicreg(x, y, 3.0, 0.0, 0.0), 3 * F.mse_loss(x, y))
    c = torch.corrcoef(torch.cat([x, y], dim=1).T)[:4, 4:]
    expected = ((1 - c.diagonal()) ** 2).sum() + 0.0051 * ((c**2).sum() - (c.diagonal() ** 2).sum())
    same(ref.barlow_twins(x, y), expected, 1e-3)
    same(ref.barlow_twins(x, y, eps=0.0), expected)
    scale, shift = torch.tensor([2.0, 0.5, 3.0, 7.0], dtype=torch.float64), torch.ones(4, dtype=torch.float64)
    same(ref.barlow_twins(x * scale + shift, y, eps=0.0), ref.barlow_twins(x, y, eps=0.0))


@SEEDS
def test_paco_limits(seed: int) -> None:
    q, k, queue, logits = draw(seed, SHAPE, SHAPE, (7, 5), (6, 3))
    labels, queue_labels = torch.tensor([0, 1, 2, 0, 1, 2]), torch.tensor([0, 0, 1, 2, 2, 1, 0])
    prior = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
    cross = ref.paco(q, k, queue, labels, queue_labels, logits, prior, alpha=0.0, gamma=0.0)
    same(cross, F.cross_entropy(logits + prior.log(), labels))
    only = ref.paco(q, k, queue, labels, queue_labels, torch.full_like(logits, -math.inf), prior, 0.2, 0.05, 0.0)
    keys, key_labels = ref.unit(torch.cat([q, k, queue])), torch.cat([labels, labels, queue_labels])
    own = torch.eye(6, 19, dtype=torch.bool)
    log_p = (ref.unit(q) @ keys.T / 0.2).masked_fill(own, -math.inf).log_softmax(1)
    mask = (labels[:, None] == key_labels) & ~own
    same(only, torch.stack([-log_p[i][mask[i]].mean() for i in range(6)]).mean())


@SEEDS
def test_weighted_positives_are_a_soft_cross_entropy(seed: int) -> None:
    """KCL with k > 0, and PaCo between its limits (gamma 1): targets in proportion to the weights."""
    q, k, queue, scores = draw(seed, SHAPE, SHAPE, (7, 5), (6, 3))
    u, v, n = ref.unit(q), ref.unit(k), ref.unit(queue)
    chosen = (torch.rand(6, 7, generator=torch.Generator().manual_seed(seed)) < 0.4).double()
    target = torch.cat([torch.ones(6, 1, dtype=torch.float64), chosen], dim=1)
    logits = torch.cat([(u * v).sum(1, keepdim=True), u @ n.T], dim=1) / 0.2
    same(ref.kcl(q, k, queue, chosen, 0.2), F.cross_entropy(logits, target / target.sum(1, keepdim=True)))
    labels, queue_labels = torch.tensor([0, 1, 2, 0, 1, 2]), torch.tensor([0, 0, 1, 2, 2, 1, 0])
    prior = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
    rows = torch.cat([u, v, n]) @ u.T / 0.2
    rows[:6][torch.eye(6, dtype=torch.bool)] = -1e9  # self: finite, so that 0 x it is 0
    same_label = (torch.cat([labels, labels, queue_labels])[:, None] == labels).double()
    same_label[:6][torch.eye(6, dtype=torch.bool)] = 0
    weight = torch.cat([0.7 * F.one_hot(labels, 3).double(), 0.3 * same_label.T], dim=1)
    joined = torch.cat([(scores + prior.log()) / 2, rows.T], dim=1)
    expected = F.cross_entropy(joined, weight / weight.sum(1, keepdim=True))
    same(ref.paco(q, k, queue, labels, queue_labels, scores, prior, 0.2, 0.3, 0.7, supt=2.0), expected)


@SEEDS
def test_proto_nce_divides_each_logit_by_its_own_centroids_phi(seed: int) -> None:
    q, k, queue, centroids = draw(seed, SHAPE, SHAPE, (9, 5), (4, 5))
    phi, assigned = torch.tensor([0.1, 0.2, 0.4, 0.8], dtype=torch.float64), torch.tensor([0, 0, 1, 2, 3, 3])
    part = F.cross_entropy(ref.unit(q) @ ref.unit(centroids).T / phi, assigned)
    same(ref.proto_nce(q, k, queue, [centroids], [assigned], [phi]), ref.moco(q, k, queue) + part)


@SEEDS
def test_proto_nce_of_singletons_is_info_nce(seed: int) -> None:
    q, k, queue = draw(seed, SHAPE, SHAPE, (9, 5))
    levels = ([k, k], [torch.arange(6)] * 2, [torch.full((6,), 0.3, dtype=torch.float64)] * 2)
    same(ref.proto_nce(q, k, queue, *levels, 0.3), ref.moco(q, k, queue, 0.3) + ref.info_nce(q, k, 0.3))
    phi = ref.pcl_density(k, queue[:3], torch.tensor([0, 0, 1, 1, 1, 2]), tau=0.3)
    same(phi.mean(), 0.3)


@SEEDS
def test_contrastive_clustering(seed: int) -> None:
    logits1, logits2 = draw(seed, (8, 3), (8, 3))
    p1, p2 = logits1.softmax(1), logits2.softmax(1)
    entropy = sum(torch.distributions.Categorical(p.mean(0)).entropy() for p in (p1, p2))
    same(ref.cc_cluster(p1, p2), ref.nt_xent(p1.T, p2.T, 1.0) + 2 * math.log(3) - entropy)
    hard = torch.eye(3, dtype=torch.float64).repeat(2, 1)
    same(ref.cc_cluster(hard, hard), -math.log(math.e / (math.e + 4)))
    whole = ref.contrastive_clustering(logits1, logits2, p1, p2)
    same(whole, ref.nt_xent(logits1, logits2, 0.5) + ref.cc_cluster(p1, p2))


@SEEDS
def test_sinkhorn(seed: int) -> None:
    z, prototypes = draw(seed, (64, 8), (10, 8))
    scores = ref.unit(z) @ ref.unit(prototypes).T
    for iterations in (1, 3):
        same(ref.sinkhorn(scores, iterations=iterations).sum(1), torch.ones(64), 1e-12)
    same(ref.sinkhorn(scores, iterations=3000).sum(0), torch.full((10,), 6.4), 1e-6)
    assert (ref.sinkhorn(scores).sum(0) - 6.4).abs().max() > 1e-2
    same(ref.sinkhorn(torch.zeros(64, 10, dtype=torch.float64)), torch.full((64, 10), 0.1, dtype=torch.float64))
    assert torch.tensor(1 / 0.05).exp() > torch.finfo(torch.float16).max
    one_hot = F.one_hot(scores.argmax(1), 10).double()
    same(ref.cross_entropy(scores / 0.1, one_hot), F.cross_entropy(scores / 0.1, scores.argmax(1)))


@SEEDS
def test_swav_queue_and_local_crops(seed: int) -> None:
    """The queue changes the targets only; local crops predict, and are never assigned."""
    *z, prototypes, queue = draw(seed, SHAPE, SHAPE, SHAPE, SHAPE, (4, 5), (8, 5))
    scores = [ref.unit(v) @ prototypes.T for v in z]
    joined = torch.cat([scores[0], ref.unit(queue) @ prototypes.T])  # the order of the rows doesn't matter
    code0 = ref.sinkhorn(joined)[:6]
    code1 = ref.sinkhorn(torch.cat([scores[1], ref.unit(queue) @ prototypes.T]))[:6]
    terms = [F.cross_entropy(scores[v] / 0.1, code0) for v in (1, 2, 3)]
    terms += [F.cross_entropy(scores[v] / 0.1, code1) for v in (0, 2, 3)]
    same(ref.swav(z, prototypes, [queue, queue]), torch.stack(terms).mean())


@SEEDS
def test_dino(seed: int) -> None:
    s, t, local = draw(seed, SHAPE, SHAPE, SHAPE)
    zero = torch.zeros(5, dtype=torch.float64)
    entropy = torch.distributions.Categorical(logits=s / 0.1).entropy().mean()
    same(ref.dino([s, s], [s, s], zero, 0.1, 0.1), entropy)
    centre = ref.dino_centre(zero, [s, t], 0.9)
    same(centre, 0.1 * (s + t).mean(0) / 2)
    same(ref.dino([s, t, local], [t, s], centre), ref.dino([s, t, local], [t, s], centre + 3.7))
    target = torch.softmax(t / 0.04, 1)
    same(ref.dino([s, t], [t], zero), F.cross_entropy(t / 0.1, target))  # view 0 is skipped: it is the teacher's own
