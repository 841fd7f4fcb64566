"""Contrast within the batch: NT-Xent, SupCon, InfoNCE, decoupled, debiased, hard negatives, SCARF."""

import math

import torch
from torch import Tensor

from .basics import diagonal_nce, unit


def _stack(z1: Tensor, z2: Tensor) -> tuple[Tensor, list[int]]:
    """Unit rows of [z1; z2] (2B, D) and, for each, the index of its other view."""
    count = len(z1)
    return unit(torch.cat([z1, z2])), [(i + count) % (2 * count) for i in range(2 * count)]


def nt_xent_per_anchor(z1: Tensor, z2: Tensor, tau: float = 0.1) -> Tensor:
    """NT-Xent of each of the 2B anchors, (2B,): anchors z1, then z2."""
    z, partner = _stack(z1, z2)
    losses = []
    for i in range(len(z)):
        others = torch.stack([z[i] @ z[k] / tau for k in range(len(z)) if k != i])
        losses.append(torch.logsumexp(others, 0) - z[i] @ z[partner[i]] / tau)
    return torch.stack(losses)


def nt_xent(z1: Tensor, z2: Tensor, tau: float = 0.1) -> Tensor:
    """SimCLR (Chen et al. 2020, arXiv 2002.05709; google-research/simclr, which returns twice this mean)."""
    return nt_xent_per_anchor(z1, z2, tau).mean()


def info_nce(a: Tensor, b: Tensor, tau: float = 0.1) -> Tensor:
    """One direction a -> b, keys are the batch's b: CE(a b^T / tau) (van den Oord et al. 2018, arXiv 1807.03748)."""
    return diagonal_nce(unit(a) @ unit(b).T / tau)


def scarf(z: Tensor, corrupted: Tensor, tau: float = 1.0) -> Tensor:
    """SCARF, Algorithm 1 (Bahri et al. 2022, arXiv 2106.15147): the denominator is a mean, so InfoNCE - log B."""
    s = unit(z) @ unit(corrupted).T / tau
    return -torch.log(s.diagonal().exp() / s.exp().mean(dim=1)).mean()


def _supcon_terms(z: Tensor, labels: Tensor, tau: float) -> list[Tensor]:
    """log softmax over a != i at the positives of each anchor that has any."""
    z = unit(z)
    terms = []
    for i in range(len(z)):
        positives = [p for p in range(len(z)) if p != i and labels[p] == labels[i]]
        if positives:
            partition = torch.logsumexp(torch.stack([z[i] @ z[a] / tau for a in range(len(z)) if a != i]), 0)
            terms.append(torch.stack([z[i] @ z[p] / tau - partition for p in positives]))
    return terms


def supcon_out(z: Tensor, labels: Tensor, tau: float = 0.1, base_tau: float | None = None) -> Tensor:
    """SupCon L_out (Khosla et al. 2020, arXiv 2004.11362, eq. 2): z (N, D) are all views stacked, labels (N,).

    Anchors without a positive are skipped. HobbitLong/SupContrast multiplies by tau/base_tau (0.07 there); None: 1.
    """
    scale = 1.0 if base_tau is None else tau / base_tau
    return scale * torch.stack([-t.mean() for t in _supcon_terms(z, labels, tau)]).mean()


def supcon_in(z: Tensor, labels: Tensor, tau: float = 0.1) -> Tensor:
    """SupCon L_in (eq. 3): -log of the MEAN of the positives' probabilities (with 1/|P|, which multi-NCE lacks)."""
    return torch.stack([-torch.log(t.exp().mean()) for t in _supcon_terms(z, labels, tau)]).mean()


def dcl_per_anchor(z1: Tensor, z2: Tensor, tau: float = 0.1) -> Tensor:
    """Decoupled loss of each of the 2B anchors, (2B,): the positive isn't in the denominator."""
    z, partner = _stack(z1, z2)
    losses = []
    for i in range(len(z)):
        negatives = torch.stack([z[i] @ z[k] / tau for k in range(len(z)) if k not in (i, partner[i])])
        losses.append(torch.logsumexp(negatives, 0) - z[i] @ z[partner[i]] / tau)
    return torch.stack(losses)


def dcl(z1: Tensor, z2: Tensor, tau: float = 0.1) -> Tensor:
    """DCL (Yeh et al. 2022, arXiv 2110.06848), mean over 2B anchors."""
    return dcl_per_anchor(z1, z2, tau).mean()


def dclw_weights(z1: Tensor, z2: Tensor, sigma: float = 0.5) -> Tensor:
    """w_i = 2 - B softmax_i(s_i / sigma), (B,), s_i the cosine of pair i; mean 1; the same for both directions."""
    s = (unit(z1) * unit(z2)).sum(dim=1)
    return 2 - len(s) * torch.softmax(s / sigma, dim=0)


def dclw(z1: Tensor, z2: Tensor, tau: float = 0.1, sigma: float = 0.5, detach: bool = True) -> Tensor:
    """DCLW: the attraction alone is weighted. detach=True as lightly; False as raminnakhli's code."""
    z, partner = _stack(z1, z2)
    w = dclw_weights(z1, z2, sigma)
    if detach:
        w = w.detach()
    attraction = torch.stack([z[i] @ z[partner[i]] / tau for i in range(len(z))])
    repulsion = dcl_per_anchor(z1, z2, tau) + attraction
    return (repulsion - torch.cat([w, w]) * attraction).mean()


def debiased(z1: Tensor, z2: Tensor, tau: float = 0.5, tau_plus: float = 0.1) -> Tensor:
    """Debiased contrastive loss (Chuang et al. 2020, arXiv 2007.00224; chingyaoc/DCL main.py)."""
    return hcl(z1, z2, tau, tau_plus, beta=0.0)


def hcl(z1: Tensor, z2: Tensor, tau: float = 0.5, tau_plus: float = 0.1, beta: float = 1.0) -> Tensor:
    """Hard negatives (Robinson et al. 2021, arXiv 2010.04592; joshr17/HCL): weights exp(beta s/tau), not detached.

    N = 2B - 2 negatives; their estimate is clamped from below at N exp(-1/tau).
    """
    z, partner = _stack(z1, z2)
    count = len(z) - 2
    losses = []
    for i in range(len(z)):
        positive = torch.exp(z[i] @ z[partner[i]] / tau)
        negative = torch.exp(torch.stack([z[i] @ z[k] / tau for k in range(len(z)) if k not in (i, partner[i])]))
        weight = negative**beta
        reweighted = (weight * negative).sum() / weight.mean()
        estimate = (reweighted - tau_plus * count * positive) / (1 - tau_plus)
        estimate = estimate.clamp_min(count * math.exp(-1 / tau))
        losses.append(-torch.log(positive / (positive + estimate)))
    return torch.stack(losses).mean()
