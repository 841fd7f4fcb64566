"""The k-nearest-neighbour classifier that self-supervised papers report."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F


@torch.no_grad()
def knn(
    train: Tensor, labels: np.ndarray, test: Tensor, k: int = 20, tau: float = 0.07, chunk: int = 1024
) -> np.ndarray:
    """Classes (m,) of ``test`` (m, D) voted by the nearest of ``train`` (n, D), whose classes are ``labels`` (n,).

    Weighted cosine kNN of Wu et al., *Unsupervised Feature Learning via Non-Parametric Instance Discrimination* (CVPR
    2018), with the k and tau of Caron et al., *DINO* (ICCV 2021): each of the k nearest votes ``exp(cosine / tau)``.
    ``k`` is cut to n; equal votes go to the class that sorts first. ``chunk`` test rows are compared at a time.
    """
    classes, codes = np.unique(labels, return_inverse=True)
    bank = F.normalize(train.float(), dim=1)
    votes_for = torch.as_tensor(codes, device=bank.device)
    nearest = min(k, len(bank))
    winners = []
    for rows in F.normalize(test.float(), dim=1).split(chunk):
        similarity, index = (rows @ bank.T).topk(nearest, dim=1)
        votes = torch.zeros(len(rows), len(classes), device=bank.device)
        votes.scatter_add_(1, votes_for[index], (similarity / tau).exp())
        winners.append(votes.argmax(dim=1).cpu())
    return classes[torch.cat(winners).numpy()] if winners else classes[:0]
