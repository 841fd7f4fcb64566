"""More than two modalities, or more than one term: CMC, ImageBind's hub, SIMCL, Symile of any order, TCL."""

from collections.abc import Sequence
from itertools import combinations, product

import torch
from torch import Tensor

from .basics import cross_entropy, unit
from .contrastive import info_nce


def both_ways(a: Tensor, b: Tensor, tau: Tensor | float) -> Tensor:
    """InfoNCE a -> b plus b -> a."""
    return info_nce(a, b, tau) + info_nce(b, a, tau)


def cmc(tables: Sequence[Tensor], tau: float = 0.07, core: bool = False) -> Tensor:
    """CMC with a softmax over the batch (Tian et al. 2020, arXiv 1906.05849): all pairs (eq. 6), or the first with each (eq. 5)."""
    return sum(both_ways(a, b, tau) for (i, a), (_, b) in combinations(enumerate(tables), 2) if not core or i == 0)


def simcl(a: Tensor, b: Tensor, tau: float = 0.07) -> Tensor:
    """SIMCL of one pair of modalities (M5Product, Dong et al. 2022, arXiv 2109.04275): the positive isn't in the denominator."""
    s = unit(a) @ unit(b).T / tau
    losses = []
    for i in range(len(s)):
        others = [k for k in range(len(s)) if k != i]
        losses.append(torch.log(sum(s[i, k].exp() + s[k, i].exp() for k in others)) - s[i, i])
    return torch.stack(losses).mean()


def symile_rows(
    anchor: Tensor, others: Sequence[Tensor], scale: Tensor | float, rows: Sequence[Sequence[int]] | None = None
) -> Tensor:
    """One anchor of Symile with any number of other modalities, which are B rows each.

    ``rows`` None: the softmax is over all B^M choices of a row for each of them. Else ``rows[m]`` is the order of table m, and the
    softmax is over the positive and the shuffled products, the i-th of which is left out for anchor i (rajesh-lab/symile).
    """
    a, tables = unit(anchor), [unit(o) for o in others]
    count, losses = len(a), []
    for i in range(count):
        positive = scale * (a[i] * torch.stack([t[i] for t in tables]).prod(0)).sum()
        if rows is None:
            choices = [c for c in product(range(count), repeat=len(tables)) if set(c) != {i}]
        else:
            choices = [tuple(order[j] for order in rows) for j in range(count) if j != i]
        negatives = [
            scale * (a[i] * torch.stack([t[r] for t, r in zip(tables, c, strict=True)]).prod(0)).sum() for c in choices
        ]
        losses.append(torch.logsumexp(torch.stack([positive, *negatives]), 0) - positive)
    return torch.stack(losses).mean()


def parts_nce(whole: Tensor, parts: Tensor, tau: Tensor | float) -> Tensor:
    """TCL's local term: whole (B, D) with each of its parts (B, P, D) against all parts of the others, never its own."""
    u, v = unit(whole), unit(parts)
    losses = []
    for i in range(len(u)):
        others = torch.cat([v[k] @ u[i] for k in range(len(u)) if k != i]) / tau
        for p in range(v.shape[1]):
            logits = torch.cat([(v[i, p] @ u[i] / tau)[None], others])
            losses.append(torch.logsumexp(logits, 0) - logits[0])
    return torch.stack(losses).mean()


def tcl(
    online: Sequence[Tensor],
    twins: Sequence[Tensor],
    parts: Sequence[Tensor],
    queues: Sequence[Tensor],
    tau: Tensor | float = 0.07,
    alpha: float = 0.4,
    target_tau: float = 0.07,
) -> Tensor:
    """TCL's contrastive part (Yang et al. 2022, arXiv 2202.10401; uta-smile/TCL model_pretrain.py), six terms averaged.

    online, twins (momentum) (B, D) of the two modalities; parts (B, P, D) of the twins; queues (K, D) of the twins.
    """
    terms = []
    everything = [unit(torch.cat([t, q]).detach()) for t, q in zip(twins, queues, strict=True)]
    hard = torch.eye(len(online[0]), len(everything[0]), dtype=online[0].dtype)
    for m in (0, 1):
        soft = torch.softmax(unit(twins[m].detach()) @ everything[1 - m].T / target_tau, dim=1)
        target = alpha * soft + (1 - alpha) * hard
        terms.append(cross_entropy(unit(online[m]) @ everything[1 - m].T / tau, target))
        terms.append(cross_entropy(unit(online[m]) @ everything[m].T / tau, hard))
        terms.append(parts_nce(online[m], parts[m].detach(), tau))
    return torch.stack(terms).mean()
