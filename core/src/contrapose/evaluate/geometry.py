"""The shape of an embedding: how near positives are, how spread everything is, how many directions are used."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F


def alignment(a: Tensor, b: Tensor) -> Tensor:
    """Squared distances (n,) on the unit sphere of positive pairs, rows of ``a`` and ``b`` (n, D): 0 is best, 4 worst.

    Their mean is the alignment loss, alpha = 2, of Wang & Isola (ICML 2020).
    """
    return (F.normalize(a.float(), dim=1) - F.normalize(b.float(), dim=1)).square().sum(dim=1)


@torch.no_grad()
def uniformity(z: Tensor, t: float = 2.0, chunk: int = 1024) -> float:
    """``log mean exp(-t |x - y|^2)`` over all pairs of two different rows of ``z`` (n, D) on the unit sphere.

    Lower is more spread; 0 is full collapse. Wang & Isola (ICML 2020). NaN for fewer than two rows.
    """
    rows = F.normalize(z.double(), dim=1)
    n = len(rows)
    if n < 2:
        return float("nan")
    total = sum(float((-t * (2 - 2 * part @ rows.T).clamp_min(0)).exp().sum()) for part in rows.split(chunk))
    itself = float((-t * (2 - 2 * rows.square().sum(dim=1)).clamp_min(0)).exp().sum())
    return math.log((total - itself) / (n * (n - 1)))


@torch.no_grad()
def effective_rank(z: Tensor) -> float:
    """The exponential of the entropy of the normalised singular values of ``z`` (n, D), between 1 and min(n, D).

    RankMe: Garrido et al. (ICML 2023), on the raw, uncentred embeddings; 0 where all of them are zero.
    """
    values = torch.linalg.svdvals(z.double())
    if not values.sum():
        return 0.0
    share = values / values.sum()
    return float(torch.special.entr(share).sum().exp())


def modality_gap(a: Tensor, b: Tensor) -> float:
    """Distance between the mean unit vectors of two modalities, ``a`` (n, D) and ``b`` (m, D), in [0, 2].

    Liang et al., *Mind the Gap* (NeurIPS 2022).
    """
    return float((F.normalize(a.float(), dim=1).mean(dim=0) - F.normalize(b.float(), dim=1).mean(dim=0)).norm())
