"""Memory banks, mined keys and transformed features: NPID and CMC's NCE, FNC, FT, NCL.

Banks, queues and twins are constants in these methods: they are detached here. Random draws are arguments.
"""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from .basics import cross_entropy, unit


def nce_binary(q: Tensor, own: Tensor, drawn: Tensor, z: float, samples: int, tau: float = 0.07) -> Tensor:
    """NCE with a memory bank (Wu et al. 2018, section 3.2; lemniscate.pytorch and CMC's NCEAverage and NCECriterion, eps 0).

    q (B, D); own (B, D) each anchor's entry; drawn (B, m, D) noise entries; z the constant Z of a bank of ``samples`` entries.
    """
    q, own, drawn = unit(q), own.detach(), drawn.detach()
    m = drawn.shape[1]
    noise = m / samples
    total = q.new_zeros(())
    for i in range(len(q)):
        p_own = torch.exp(q[i] @ own[i] / tau) / z
        total = total - torch.log(p_own / (p_own + noise))
        for j in range(m):
            p_drawn = torch.exp(q[i] @ drawn[i, j] / tau) / z
            total = total - torch.log(noise / (p_drawn + noise))
    return total / len(q)


def nce_softmax(q: Tensor, own: Tensor, drawn: Tensor, tau: float = 0.07) -> Tensor:
    """The same as a choice among m + 1 (CMC's NCEAverage with use_softmax and NCESoftmaxLoss)."""
    logits = torch.einsum("bd,bkd->bk", unit(q), torch.cat([own[:, None], drawn], 1).detach()) / tau
    return cross_entropy(logits, torch.zeros(len(q), dtype=torch.long))


def bank_update(entries: Tensor, embeddings: Tensor, momentum: float = 0.5) -> Tensor:
    """The entries (B, D) after the step: unit(momentum * entry + (1 - momentum) * unit(embedding))."""
    return unit(momentum * entries + (1 - momentum) * unit(embeddings.detach()))


def fnc(
    views: Sequence[Tensor],
    tau: float = 0.1,
    top: int = 10,
    above: float = 0.7,
    cancel: Literal["attract", "eliminate"] = "attract",
    twins: Sequence[Tensor] | None = None,
    queue: Tensor | None = None,
    false: Tensor | None = None,
) -> Tensor:
    """False negative cancellation (Huynh et al. 2022, arXiv 2011.11765; google-research/fnc objective.py), mean over all anchors.

    views: V tables (B, D), support views among them. Keys are all views' rows, view by view; with ``twins``, those of the momentum
    twin, then the queue (K, D). false (B, V B + K) names the false negatives of each sample instead of mining them.
    """
    v, b = len(views), len(views[0])
    anchors = [unit(z) for z in views]
    judges = anchors if twins is None else [unit(t.detach()) for t in twins]
    keys = torch.cat(judges if queue is None else [*judges, unit(queue.detach())])
    found = mined(judges, keys, top, above) if false is None else false
    losses = []
    for a in range(v):
        for i in range(b):
            logits = keys @ anchors[a][i] / tau
            own = [w * b + i for w in range(v) if w != a]
            others = [j for j in range(len(keys)) if bool(found[i, j])]
            kept = [j for j in range(len(keys)) if j != a * b + i and not (cancel == "eliminate" and j in others)]
            positives = own + others if cancel == "attract" else own
            losses.append(torch.logsumexp(logits[kept], 0) - logits[positives].mean())
    return torch.stack(losses).mean()


def mined(judges: Sequence[Tensor], keys: Tensor, top: int, above: float) -> Tensor:
    """(B, N) bool: which keys are among the ``top`` nearest to any view of sample i, and nearer than ``above``; never its own."""
    b = len(judges[0])
    found = torch.zeros(b, len(keys), dtype=torch.bool)
    for i in range(b):
        score = torch.stack([keys @ z[i] for z in judges]).detach().amax(0)
        score[[w * b + i for w in range(len(judges))]] = -1e9
        nearest = score.argsort(descending=True)[:top]
        found[i, nearest] = score[nearest] > above
    return found


def ft(q: Tensor, k: Tensor, queue: Tensor, far: Tensor, near: Tensor, order: Tensor, tau: float = 0.2) -> Tensor:
    """Feature transformation (Zhu et al. 2021, arXiv 2108.02982; mem_moco.py, mix_target posneg, both masks, no post norm).

    far (B, D) or a number, > 1; near (K, D) in (0, 1); order (K,) a permutation of the queue.
    """
    q, k, queue = unit(q), unit(k.detach()), unit(queue.detach())
    q_far, k_far = far * q + (1 - far) * k, far * k + (1 - far) * q
    mixed = near * queue + (1 - near) * queue[order]
    logits = torch.cat([(q_far * k_far).sum(1, keepdim=True), q_far @ mixed.T], dim=1) / tau
    return cross_entropy(logits, torch.zeros(len(q), dtype=torch.long))


def ncl_mixes(q: Tensor, queue: Tensor, easiest: int, partners: Tensor, hardest: int) -> Tensor:
    """Mixed hard samples (B, hardest, D), detached (Zhong et al. 2021; NCL.py, ncl_hng_loss).

    partners (B, rounds, easiest) index the queue rows with which the easiest, the least similar first, are mixed.
    """
    q, queue = unit(q.detach()), unit(queue.detach())
    rows = []
    for i in range(len(q)):
        easy = queue[(queue @ q[i]).argsort()[:easiest]]
        made = []
        for other in partners[i]:
            made += [unit((easy + 2 * queue[other]) / 3), unit((2 * easy + queue[other]) / 3)]
        mixes = torch.cat(made)
        rows.append(mixes[(mixes @ q[i]).argsort(descending=True)[:hardest]])
    return torch.stack(rows)


def ncl(
    q: Tensor, k: Tensor, queue: Tensor, mixes: Tensor, neighbours: int, own: float = 0.2, tau: float = 0.05
) -> Tensor:
    """alpha l(own key) + (1 - alpha) mean l(neighbours): the queue's nearest rows are positives, mixes (B, M, D) negatives."""
    q, k, queue = unit(q), unit(k.detach()), unit(queue.detach())
    losses = []
    for i in range(len(q)):
        logits = torch.cat([k[i : i + 1], queue, mixes[i].detach()]) @ q[i] / tau
        log_p = logits - torch.logsumexp(logits, 0)
        near = (queue @ q[i]).argsort(descending=True)[:neighbours]
        losses.append(-own * log_p[0] - (1 - own) * log_p[1 + near].mean())
    return torch.stack(losses).mean()
