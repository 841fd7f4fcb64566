"""How alike two vectors are. Each takes (q, D) and (k, D), or (q, k, D) where the keys are private, and gives (q, k)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Similarity = Callable[[Tensor, Tensor, bool], Tensor]


def dot(q: Tensor, k: Tensor, private: bool = False) -> Tensor:
    """Inner product: the cosine where the term normalises."""
    return torch.einsum("qd,qkd->qk", q, k) if private else q @ k.T


def euclidean(q: Tensor, k: Tensor, private: bool = False) -> Tensor:
    """Minus the Euclidean distance."""
    gap = q[:, None] - (k if private else k[None])
    return -(gap.square().sum(-1) + 1e-12).sqrt()  # the gradient of the root is infinite at 0


def volume(q: Tensor, k: Tensor, private: bool = False) -> Tensor:
    """Minus the volume of the parallelotope of an anchor with its key's vectors (GRAM, Cicchetti et al. 2025, eq. 5).

    One side may be a tuple of M vectors a row, (n, M, D). The square root is smoothed by 1e-8 since its gradient is NaN at a
    perfect alignment.
    """
    if private:
        raise ValueError("volume has no private form")
    if q.ndim == 3 and k.ndim == 2:
        return volume(k, q).T
    k = k[:, None] if k.ndim == 2 else k
    inner = torch.einsum("qd,kmd->qkm", q, k)
    among = torch.einsum("kmd,knd->kmn", k, k)
    own = q.square().sum(-1)[:, None]
    # det [[a, b'], [b, C]] = a det C - b' adj(C) b, where C is the key's alone: no determinant per pair
    squared = own * torch.linalg.det(among) - torch.einsum("qkm,kmn,qkn->qk", inner, _adjugate(among), inner)
    return -(squared.clamp_min(0) + 1e-8).sqrt()


def _adjugate(c: Tensor) -> Tensor:
    """adj(C) of symmetric matrices (n, M, M) by their minors, which needs no inverse."""
    m = c.shape[-1]
    if m == 1:
        return torch.ones_like(c)
    others = [[j for j in range(m) if j != i] for i in range(m)]
    minors = [
        [torch.linalg.det(c[:, others[i]][:, :, others[j]]) * (-1) ** (i + j) for j in range(m)] for i in range(m)
    ]
    return torch.stack([torch.stack(row, -1) for row in minors], -2)


SIMILARITIES: dict[str, Similarity] = {"dot": dot, "euclidean": euclidean, "volume": volume}
