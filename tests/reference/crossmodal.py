"""Across modalities: CLIP, SigLIP, GRAM, Symile, CrossPoint."""

from collections.abc import Sequence

import torch
from torch import Tensor

from .basics import diagonal_nce, unit
from .contrastive import nt_xent


def clip(a: Tensor, b: Tensor, scale: Tensor | float = 1 / 0.07) -> Tensor:
    """CLIP (Radford et al. 2021, arXiv 2103.00020; open_clip ClipLoss): scale = exp(logit_scale), not its log."""
    logits = scale * unit(a) @ unit(b).T
    return (diagonal_nce(logits) + diagonal_nce(logits.T)) / 2


def siglip(a: Tensor, b: Tensor, scale: Tensor | float = 10.0, bias: Tensor | float = -10.0) -> Tensor:
    """SigLIP (Zhai et al. 2023, arXiv 2303.15343): -sum over all B x B pairs of log sigmoid(+-logit), divided by B."""
    logits = scale * unit(a) @ unit(b).T + bias
    total = torch.zeros((), dtype=logits.dtype)
    for i in range(len(logits)):
        for j in range(len(logits)):
            sign = 1.0 if i == j else -1.0
            total = total - torch.nn.functional.logsigmoid(sign * logits[i, j])
    return total / len(logits)


def gram_volume(vectors: Sequence[Tensor], eps: float = 0.0) -> Tensor:
    """Volume of the parallelotope of M unit vectors (D,): sqrt(|det G| + eps), G their Gram matrix."""
    rows = torch.stack([unit(v) for v in vectors])
    return torch.sqrt(torch.det(rows @ rows.T).abs() + eps)


def gram(
    anchor: Tensor, others: Sequence[Tensor], tau: float = 0.07, smoothing: float = 0.1, eps: float = 0.0
) -> Tensor:
    """GRAM (Cicchetti et al. 2025, arXiv 2412.11959; ispamm/GRAM): logits -volume/tau, both directions averaged.

    V_ij = volume(anchor_i, others_1[j], ..., others_M[j]); the other modalities move together. Label smoothing 0.1.
    eps = 0 is as published and has NaN gradients where a volume is 0.
    """
    volume = torch.stack(
        [torch.stack([gram_volume([a, *(o[j] for o in others)], eps) for j in range(len(anchor))]) for a in anchor]
    )
    logits = -volume / tau
    return (_smoothed(logits, smoothing) + _smoothed(logits.T, smoothing)) / 2


def _smoothed(logits: Tensor, smoothing: float) -> Tensor:
    """Diagonal cross-entropy with target (1 - smoothing) on the diagonal and smoothing/B everywhere."""
    partition = torch.logsumexp(logits, dim=1)
    spread = (partition - logits.mean(dim=1)).mean()
    return (1 - smoothing) * diagonal_nce(logits) + smoothing * spread


def symile_anchor(anchor: Tensor, others: Sequence[Tensor], scale: Tensor | float = 1 / 0.07) -> Tensor:
    """One anchor's n^2 form for three modalities: softmax of scale * sum_d a_i y_j z_k over all n^2 pairs (j, k)."""
    a, (y, z) = unit(anchor), [unit(o) for o in others]
    losses = []
    for i in range(len(a)):
        logits = torch.stack([scale * (a[i] * y[j] * z[k]).sum() for j in range(len(y)) for k in range(len(z))])
        losses.append(torch.logsumexp(logits, 0) - logits[i * len(z) + i])
    return torch.stack(losses).mean()


def symile(x: Tensor, y: Tensor, z: Tensor, scale: Tensor | float = 1 / 0.07) -> Tensor:
    """Symile (Saporta et al. 2024, arXiv 2411.01053; rajesh-lab/symile), n^2 negatives, mean over the three anchors."""
    return (symile_anchor(x, [y, z], scale) + symile_anchor(y, [x, z], scale) + symile_anchor(z, [x, y], scale)) / 3


def crosspoint(cloud1: Tensor, cloud2: Tensor, image: Tensor, tau: float = 0.1) -> Tensor:
    """CrossPoint (Afham et al. 2022, arXiv 2203.00680; MohamedAfham/CrossPoint), from raw projections.

    NT-Xent of the two cloud views + NT-Xent of their mean (of the RAW rows) with the image; rows of the same modality
    are negatives too.
    """
    return nt_xent(cloud1, cloud2, tau) + nt_xent((cloud1 + cloud2) / 2, image, tau)
