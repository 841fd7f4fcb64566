"""Momentum twins, queues and self-distillation: MoCo, BYOL, SimSiam, DINO, DenseCL, MoCHi, KCL, CoCLR, PaCo.

Keys, teachers and queues are constants in these methods: they are detached here.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from .basics import cross_entropy, unit


def _queue_logits(q: Tensor, k: Tensor, queue: Tensor, tau: float) -> Tensor:
    """(B, 1 + K) logits of the own key, then of the queue."""
    q, k, queue = unit(q), unit(k.detach()), unit(queue.detach())
    return torch.cat([(q * k).sum(dim=1, keepdim=True), q @ queue.T], dim=1) / tau


def moco(q: Tensor, k: Tensor, queue: Tensor, tau: float = 0.2) -> Tensor:
    """MoCo v1 (tau 0.07) and v2 (He et al. 2020, arXiv 1911.05722; facebookresearch/moco): queue (K, D), K may be 0."""
    return cross_entropy(_queue_logits(q, k, queue, tau), torch.zeros(len(q), dtype=torch.long))


def byol(p1: Tensor, p2: Tensor, t1: Tensor, t2: Tensor) -> Tensor:
    """BYOL, symmetric (Grill et al. 2020, arXiv 2006.07733): p predictions, t EMA projections; sum of 2 - 2 cos."""

    def distance(p: Tensor, t: Tensor) -> Tensor:
        return ((unit(p) - unit(t.detach())) ** 2).sum(dim=1).mean()

    return distance(p1, t2) + distance(p2, t1)


def simsiam(p1: Tensor, p2: Tensor, z1: Tensor, z2: Tensor) -> Tensor:
    """SimSiam (Chen & He 2021, arXiv 2011.10566): -1/2 [cos(p1, sg z2) + cos(p2, sg z1)]."""

    def cosine(p: Tensor, z: Tensor) -> Tensor:
        return (unit(p) * unit(z.detach())).sum(dim=1).mean()

    return -(cosine(p1, z2) + cosine(p2, z1)) / 2


def dino(
    student: Sequence[Tensor],
    teacher: Sequence[Tensor],
    centre: Tensor,
    tau_s: float = 0.1,
    tau_t: float = 0.04,
) -> Tensor:
    """DINO (Caron et al. 2021, arXiv 2104.14294; facebookresearch/dino main_dino.py).

    student: raw logits (B, K) per view, global views first; teacher: raw logits per global view, in the same order;
    centre (K,), as it was BEFORE this step. Averaged over the (teacher g, student v), v != g.
    """
    losses = []
    for g, t in enumerate(teacher):
        target = torch.softmax((t.detach() - centre) / tau_t, dim=1)
        losses += [cross_entropy(s / tau_s, target) for v, s in enumerate(student) if v != g]
    return torch.stack(losses).mean()


def dino_centre(centre: Tensor, teacher: Sequence[Tensor], momentum: float = 0.9) -> Tensor:
    """The centre after this step: EMA of the mean teacher logit over the global views and the batch."""
    return momentum * centre + (1 - momentum) * torch.cat(list(teacher)).detach().mean(dim=0)


def densecl_match(bq: Tensor, bk: Tensor) -> Tensor:
    """(B, S) index of the key cell whose backbone feature is most similar (cosine) to each query cell's."""
    return torch.stack([(unit(a) @ unit(b).T).argmax(dim=1) for a, b in zip(bq, bk, strict=True)])


def densecl(
    q: Tensor,
    k: Tensor,
    dq: Tensor,
    dk: Tensor,
    bq: Tensor,
    bk: Tensor,
    queue: Tensor,
    dense_queue: Tensor,
    tau: float = 0.2,
    lam: float = 0.5,
) -> Tensor:
    """DenseCL (Wang et al. 2021, arXiv 2011.09157; WXinlong/DenseCL): (1-lam) L_global + lam L_dense.

    q, k (B, D) pooled projections; dq, dk (B, S, D) dense projections of the S grid cells; bq, bk (B, S, C) backbone
    cells, which alone choose the match; queue and dense_queue (K, D). The match carries no gradient.
    """
    match = densecl_match(bq.detach(), bk.detach())
    matched = torch.stack([dk[i, match[i]] for i in range(len(dk))])
    dense = moco(dq.flatten(0, 1), matched.flatten(0, 1), dense_queue, tau)
    return (1 - lam) * moco(q, k, queue, tau) + lam * dense


def mochi_synthetic(
    q: Tensor, queue: Tensor, top_n: int, pairs: Tensor, alpha: Tensor, own: Tensor, beta: Tensor
) -> Tensor:
    """MoCHi's synthetic negatives (B, s + s', D), unit and detached, from given draws (arXiv 2010.01028).

    pairs (B, s, 2) and own (B, s') index the top_n hardest queue rows, 0 the hardest; alpha (B, s) in (0, 1);
    beta (B, s') in (0, 0.5) is the query's share.
    """
    q, queue = unit(q.detach()), unit(queue.detach())
    rows = []
    for i in range(len(q)):
        hardest = queue[(queue @ q[i]).argsort(descending=True, stable=True)[:top_n]]
        a = alpha[i][:, None]
        b = beta[i][:, None]
        mixed = a * hardest[pairs[i, :, 0]] + (1 - a) * hardest[pairs[i, :, 1]]
        with_query = b * q[i] + (1 - b) * hardest[own[i]]
        rows.append(unit(torch.cat([mixed, with_query])))
    return torch.stack(rows)


def mochi(q: Tensor, k: Tensor, queue: Tensor, synthetic: Tensor, tau: float = 0.2) -> Tensor:
    """MoCo whose denominator also holds each query's own synthetic (B, S, D); the whole queue stays in it."""
    private = torch.einsum("bd,bsd->bs", unit(q), synthetic.detach()) / tau
    logits = torch.cat([_queue_logits(q, k, queue, tau), private], dim=1)
    return cross_entropy(logits, torch.zeros(len(q), dtype=torch.long))


def kcl(q: Tensor, k: Tensor, queue: Tensor, chosen: Tensor, tau: float = 0.07) -> Tensor:
    """KCL (Kang et al. 2021; bingykang/BalFeat): chosen (B, K) marks each query's k same-class queue rows.

    -1/(k+1) sum of log softmax over {own key} and the chosen; the softmax runs over own key and whole queue.
    """
    mask = torch.cat([torch.ones(len(q), 1, dtype=q.dtype), chosen.to(q.dtype)], dim=1)
    return cross_entropy(_queue_logits(q, k, queue, tau), mask / mask.sum(dim=1, keepdim=True))


def coclr(q: Tensor, k: Tensor, queue: Tensor, mined: Tensor, tau: float = 0.07) -> Tensor:
    """CoCLR's multi-NCE (Han et al. 2020, arXiv 2010.09709): -log SUM of the positives' probabilities, no 1/|P|.

    mined (B, K) marks the queue rows that are positive (same video, or top-k by the other view).
    """
    logits = _queue_logits(q, k, queue, tau)
    mask = torch.cat([torch.ones(len(q), 1, dtype=torch.bool), mined.bool()], dim=1)
    positives = torch.stack([torch.logsumexp(row[m], 0) for row, m in zip(logits, mask, strict=True)])
    return (torch.logsumexp(logits, dim=1) - positives).mean()


def paco(
    q: Tensor,
    k: Tensor,
    queue: Tensor,
    labels: Tensor,
    queue_labels: Tensor,
    class_logits: Tensor,
    prior: Tensor,
    tau: float = 0.2,
    alpha: float = 0.05,
    beta: float = 1.0,
    gamma: float = 1.0,
    supt: float = 1.0,
) -> Tensor:
    """PaCo (Cui et al. 2021, arXiv 2107.12028; dvlab-research PaCo/LT/losses.py).

    Anchors are q (B, D); keys are the classes and [q minus self, k, queue]. class_logits (B, C) raw, prior (C,) class
    frequencies: (class_logits + log prior) / supt. Positives: own class with weight beta, same-class rows with alpha;
    normalised by the sum of those weights. gamma weighs the feature rows in the denominator. q as key keeps its
    gradient.
    """
    z = torch.cat([unit(q), unit(k.detach()), unit(queue.detach())])
    key_labels = torch.cat([labels, labels, queue_labels])
    losses = []
    for i in range(len(q)):
        keys = [j for j in range(len(z)) if j != i]
        logits = torch.cat([(class_logits[i] + prior.log()) / supt, z[keys] @ z[i] / tau])
        own_class = torch.arange(len(prior)) == labels[i]
        own_label = key_labels[keys] == labels[i]
        weights = torch.cat([beta * own_class.to(logits), alpha * own_label.to(logits)])
        share = torch.cat([torch.ones_like(class_logits[i]), gamma * torch.ones_like(logits[len(prior) :])])
        inside = share > 0
        partition = torch.logsumexp(logits[inside] + share[inside].log(), 0)
        positive = weights > 0
        losses.append((weights[positive] * (partition - logits[positive])).sum() / weights.sum())
    return torch.stack(losses).mean()
