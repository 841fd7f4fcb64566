"""Prototypes and clusters: Sinkhorn, SwAV, ProtoNCE, Contrastive Clustering."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from .basics import cross_entropy, unit
from .contrastive import nt_xent
from .momentum import moco


def sinkhorn(scores: Tensor, epsilon: float = 0.05, iterations: int = 3) -> Tensor:
    """Soft assignment (B, K) of rows to prototypes, rows sum to 1, detached (facebookresearch/swav main_swav.py).

    Each iteration scales the columns to B/K in all and then the rows to 1.
    """
    rows, columns = scores.shape
    scores = scores.detach()
    assign = torch.exp((scores - scores.max()) / epsilon)
    assign = assign / assign.sum()
    for _ in range(iterations):
        assign = assign / assign.sum(dim=0, keepdim=True) / columns
        assign = assign / assign.sum(dim=1, keepdim=True) / rows
    return assign * rows


def swav_from_scores(
    scores: Sequence[Tensor],
    queue_scores: Sequence[Tensor] | None = None,
    tau: float = 0.1,
    epsilon: float = 0.05,
    iterations: int = 3,
    assign: int = 2,
) -> Tensor:
    """SwAV (Caron et al. 2020, arXiv 2006.09882): scores (B, K) per crop, the `assign` global crops first.

    queue_scores: one (L, K) per global crop, joined to the batch in its Sinkhorn; only the batch's rows are targets.
    """
    total = []
    for c in range(assign):
        joined = scores[c] if queue_scores is None else torch.cat([queue_scores[c], scores[c]])
        target = sinkhorn(joined, epsilon, iterations)[-len(scores[c]) :]
        others = [cross_entropy(s / tau, target) for v, s in enumerate(scores) if v != c]
        total.append(torch.stack(others).sum() / (len(scores) - 1))
    return torch.stack(total).mean()


def swav(
    z: Sequence[Tensor],
    prototypes: Tensor,
    queue: Sequence[Tensor] | None = None,
    tau: float = 0.1,
    epsilon: float = 0.05,
    iterations: int = 3,
    assign: int = 2,
) -> Tensor:
    """SwAV from raw crops z [(B, D)] and prototypes (K, D).

    Prototypes are taken AS GIVEN: the official code makes their data unit before each step, outside the graph, so pass
    unit rows; pass `unit(prototypes)` for the gradient through the normalisation.
    queue: raw (L, D) per global crop; 2 global + n local crops, local ones predict but aren't assigned.
    """
    scores = [unit(view) @ prototypes.T for view in z]
    queue_scores = None if queue is None else [unit(rows.detach()) @ prototypes.T for rows in queue]
    return swav_from_scores(scores, queue_scores, tau, epsilon, iterations, assign)


def proto_nce(
    q: Tensor,
    k: Tensor,
    queue: Tensor,
    centroids: Sequence[Tensor],
    assignments: Sequence[Tensor],
    phi: Sequence[Tensor],
    tau: float = 0.2,
) -> Tensor:
    """PCL's ProtoNCE (Li et al. 2021, arXiv 2005.04966; salesforce/PCL).

    InfoNCE + mean over the M levels of CE(q.c/phi_c). Per level: centroids (K, D), assignments (B,) the cluster of each
    query, phi (K,) its density. Every centroid is a candidate, once (the official code samples r of the negatives, and
    repeats the batch's own prototypes); each logit is divided by its OWN centroid's phi.
    """
    levels = []
    for c, a, p in zip(centroids, assignments, phi, strict=True):
        levels.append(cross_entropy(unit(q) @ unit(c.detach()).T / p, a))
    return moco(q, k, queue, tau) + torch.stack(levels).mean()


def pcl_density(features: Tensor, centroids: Tensor, assignments: Tensor, tau: float = 0.2) -> Tensor:
    """PCL's phi (K,): sum ||v - c|| / (Z log(Z + 10)), clipped to its 10th..90th percentile, scaled to mean tau.

    Clusters of fewer than two members get the largest phi (salesforce/PCL main_pcl.py run_kmeans).
    """
    phi = torch.zeros(len(centroids), dtype=features.dtype)
    for c in range(len(centroids)):
        members = features[assignments == c]
        if len(members) > 1:
            phi[c] = (members - centroids[c]).norm(dim=1).mean() / math.log(len(members) + 10)
    for c in range(len(centroids)):
        if int((assignments == c).sum()) <= 1:
            phi[c] = phi.max()
    phi = phi.clamp(torch.quantile(phi, 0.1), torch.quantile(phi, 0.9))
    return tau * phi / phi.mean()


def cc_cluster(p1: Tensor, p2: Tensor, tau: float = 1.0) -> Tensor:
    """Contrastive Clustering's cluster head (Li et al. 2021, arXiv 2009.09687; Yunfan-Li/Contrastive-Clustering).

    p1, p2 (B, K) are soft assignments (rows sum to 1). NT-Xent on their 2K columns, plus log K - H(mean p) per view.
    """
    negative_entropy = torch.zeros((), dtype=p1.dtype)
    for p in (p1, p2):
        share = p.sum(dim=0) / p.sum()
        negative_entropy = negative_entropy + math.log(p.shape[1]) + torch.special.xlogy(share, share).sum()
    return nt_xent(p1.T, p2.T, tau) + negative_entropy


def contrastive_clustering(
    z1: Tensor, z2: Tensor, p1: Tensor, p2: Tensor, tau: float = 0.5, cluster_tau: float = 1.0
) -> Tensor:
    """The whole of Contrastive Clustering: instance NT-Xent plus cluster loss."""
    return nt_xent(z1, z2, tau) + cc_cluster(p1, p2, cluster_tau)
