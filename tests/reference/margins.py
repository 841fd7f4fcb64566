"""Losses with a margin, and their kin: triplet, contrastive (Hadsell), N-pair, max-margin (MMCL)."""

import torch
from torch import Tensor

from .basics import unit


def triplet_semihard(z: Tensor, ids: Tensor, margin: float = 0.2) -> Tensor:
    """FaceNet (Schroff et al. 2015, arXiv 1503.03832, eqs. 3, 4): squared distances of unit rows, negatives beyond the positive.

    The mean over all triplets whose negative is farther than the positive by less than the margin; 0 without any.
    """
    d = ((unit(z)[:, None] - unit(z)[None]) ** 2).sum(-1)
    losses = []
    for a in range(len(z)):
        for p in range(len(z)):
            for n in range(len(z)):
                if a != p and ids[a] == ids[p] and ids[a] != ids[n] and d[a, p] < d[a, n] < d[a, p] + margin:
                    losses.append(d[a, p] - d[a, n] + margin)
    return torch.stack(losses).mean() if losses else (0 * z).sum()


def margin_contrastive(z: Tensor, ids: Tensor, margin: float = 1.0) -> Tensor:
    """Hadsell et al. 2006, eq. 4: d^2 / 2 of positive pairs and max(0, m - d)^2 / 2 of negative ones, means of each an anchor."""
    u, losses = unit(z), []
    for i in range(len(z)):
        near, far = [], []
        for j in range(len(z)):
            if i != j:
                d = torch.sqrt(((u[i] - u[j]) ** 2).sum())
                if ids[i] == ids[j]:
                    near.append(d**2 / 2)
                else:
                    far.append(torch.relu(margin - d) ** 2 / 2)
        losses.append(sum(torch.stack(part).mean() for part in (near, far) if part))
    return torch.stack(losses).mean()


def n_pair(a: Tensor, p: Tensor, weight: float = 0.002) -> Tensor:
    """N-pair-mc (Sohn 2016, eq. 8) of raw rows, with the length penalty as TensorFlow's npairs_loss weighs it (a quarter)."""
    losses = []
    for i in range(len(a)):
        gaps = [torch.exp(a[i] @ p[j] - a[i] @ p[i]) for j in range(len(a)) if j != i]
        losses.append(torch.log(1 + torch.stack(gaps).sum()))
    length = (a**2).sum(dim=1).mean() + (p**2).sum(dim=1).mean()
    return torch.stack(losses).mean() + weight / 4 * length


def mmcl_weights(x: Tensor, sigma: float = 10.0, ridge: float = 0.1, bound: float | None = None) -> Tensor:
    """alpha (N, N) of MMCL_INV (Shah et al. 2022, arXiv 2112.11450): one dense system for each sample, solved as it stands."""
    x = unit(x.detach())
    count = len(x)
    kernel = torch.exp(-((x[:, None] - x[None]) ** 2).sum(-1) / sigma)
    alpha = torch.zeros(count, count, dtype=x.dtype)
    for i in range(count):
        others = [j for j in range(count) if j != i]
        delta = torch.zeros(count - 1, count - 1, dtype=x.dtype)
        for row, j in enumerate(others):
            for column, k in enumerate(others):
                delta[row, column] = 1 + kernel[j, k] - kernel[i, j] - kernel[i, k] + ridge * (j == k)
        alpha[i, others] = torch.linalg.solve(delta, 2 * torch.ones(count - 1, dtype=x.dtype))
    return alpha.clamp(0, bound)


def mmcl(x: Tensor, z: Tensor, sigma: float = 10.0, ridge: float = 0.1, bound: float | None = None) -> Tensor:
    """sum_j alpha_ij [K(x_j, z_i) - K(x_i, z_i)], mean over i; alpha, of the first view alone, is a constant."""
    alpha, x, z = mmcl_weights(x, sigma, ridge, bound), unit(x), unit(z)
    kernel = torch.exp(-((z[:, None] - x[None]) ** 2).sum(-1) / sigma)
    losses = [sum(alpha[i, j] * (kernel[i, j] - kernel[i, i]) for j in range(len(x)) if j != i) for i in range(len(x))]
    return torch.stack(losses).mean()
