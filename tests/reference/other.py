"""Set losses and heads: Barlow Twins, VICReg, MMCR, VIME."""

from collections.abc import Sequence

import torch
from torch import Tensor

from .basics import unit


def barlow_twins(z1: Tensor, z2: Tensor, lam: float = 0.0051, eps: float = 1e-5) -> Tensor:
    """Barlow Twins (Zbontar et al. 2021, arXiv 2103.03230; facebookresearch/barlowtwins): z raw; eps is BatchNorm's."""

    def standard(z: Tensor) -> Tensor:
        return (z - z.mean(dim=0)) / torch.sqrt(z.var(dim=0, unbiased=False) + eps)

    c = standard(z1).T @ standard(z2) / len(z1)
    on = ((1 - c.diagonal()) ** 2).sum()
    off = (c**2).sum() - (c.diagonal() ** 2).sum()
    return on + lam * off


def vicreg(z1: Tensor, z2: Tensor, invariance: float = 25.0, variance: float = 25.0, covariance: float = 1.0) -> Tensor:
    """VICReg (Bardes et al. 2022, arXiv 2105.04906; facebookresearch/vicreg): z raw; MSE over d, variance halved."""
    count, dim = z1.shape
    total = invariance * ((z1 - z2) ** 2).mean()
    for z in (z1, z2):
        centred = z - z.mean(dim=0)
        std = torch.sqrt(z.var(dim=0, unbiased=True) + 1e-4)
        cov = centred.T @ centred / (count - 1)
        off = (cov**2).sum() - (cov.diagonal() ** 2).sum()
        total = total + variance * torch.relu(1 - std).mean() / 2 + covariance * off / dim
    return total


def mmcr(views: Sequence[Tensor], lam: float = 0.0) -> Tensor:
    """MMCR (Yerxa et al. 2023, arXiv 2303.03307; ThomasYerxa/mmcr): -||C||_* + lam mean_i ||Z_i||_*.

    C (B, D): mean over the V views of each item's unit rows; Z_i (V, D) the item's views.
    """
    z = torch.stack([unit(v) for v in views], dim=1)
    centroid = torch.linalg.svdvals(z.mean(dim=1)).sum()
    local = torch.stack([torch.linalg.svdvals(item).sum() for item in z]).mean()
    return -centroid + lam * local


def vime_corrupt(x: Tensor, mask: Tensor, order: Tensor) -> Tensor:
    """VIME's x_tilde (B, F): where mask (B, F) is 1 the value comes from row order[i, f] of the same column.

    order (B, F): each column a permutation of the rows. The mask is drawn Bernoulli(p_m = 0.3).
    """
    shuffled = torch.stack([x[order[:, f], f] for f in range(x.shape[1])], dim=1)
    return torch.where(mask.bool(), shuffled, x)


def vime(x: Tensor, x_tilde: Tensor, mask_logits: Tensor, recon: Tensor, alpha: float = 2.0) -> Tensor:
    """VIME's self-supervised loss (Yoon et al. 2020; jsyoon0823/VIME): BCE on the mask + alpha MSE on x.

    The target mask is x != x_tilde AFTER corruption (a shuffle may redraw the same value). Means over rows, features.
    """
    target = (x != x_tilde).to(x.dtype)
    bce = torch.nn.functional.softplus(mask_logits) - target * mask_logits
    return bce.mean() + alpha * ((recon - x) ** 2).mean()


def deep_infomax(wholes: list[Tensor], parts: list[Tensor], tau: float) -> Tensor:
    """Each view's whole (n, D) against the other's parts (n, P, D): each part of its sample alone against all parts of the others.

    Bachman et al. 2019, arXiv 1906.00910, eq. 3, with scores divided by the root of the width as in the authors' code.
    """
    losses = []
    for whole, those in zip(wholes, parts[::-1], strict=True):
        n, p, _ = those.shape
        for i in range(n):
            scores = those @ whole[i] / tau  # (n, P)
            others = torch.cat([scores[j] for j in range(n) if j != i])
            losses += [torch.logsumexp(torch.cat([scores[i, k : k + 1], others]), 0) - scores[i, k] for k in range(p)]
    return torch.stack(losses).mean()
