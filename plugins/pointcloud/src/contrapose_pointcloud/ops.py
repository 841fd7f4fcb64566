"""Neighbourhoods of points, in plain torch."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

_GROUPS = 8


@torch.no_grad()
def knn(x: Tensor, k: int) -> Tensor:
    """Indices (n, P, k) int64 of the k points nearest to each of x (n, P, D), itself among them, in no order.

    Where P < k, all P. Distances are Euclidean, in float32 also under autocast. Points at one place are all equally near.
    """
    with torch.autocast(x.device.type, enabled=False):
        x = x.detach().float()
        x = x - x.mean(dim=1, keepdim=True)  # small norms: |a|² + |b|² - 2ab loses digits far from the origin
        norms, ones = x.square().sum(dim=-1, keepdim=True), torch.ones_like(x[..., :1])
        # |b|² - 2ab in one product; |a|² is the same for all of a's neighbours, and so doesn't change their order
        return smallest(torch.cat([x, ones], -1) @ torch.cat([-2 * x, norms], -1).mT, min(k, x.shape[1]))


def smallest(values: Tensor, k: int) -> Tensor:
    """Indices (..., k) of the k smallest of values (..., P), in no order.

    On a CPU ``topk`` takes time linear in P with a large constant. The k smallest lie in the k groups with the smallest minima,
    so it runs over the groups' minima and then over those groups alone: the same result, twice as fast.
    """
    size = values.shape[-1]
    if values.device.type != "cpu" or size % _GROUPS or size // _GROUPS < 2 * k:
        return values.topk(k, largest=False, sorted=False)[1]
    groups = values.unflatten(-1, (_GROUPS, size // _GROUPS))  # group j: elements j, j + P/8, ...
    near = groups.amin(dim=-2).topk(k, largest=False, sorted=False)[1]
    within = groups.gather(-1, near.unsqueeze(-2).expand(*near.shape[:-1], _GROUPS, k)).flatten(-2)
    chosen = within.topk(k, largest=False, sorted=False)[1]
    return near.gather(-1, chosen % k) + chosen // k * (size // _GROUPS)


def neighbour_max(x: Tensor, bags: Tensor) -> Tensor:
    """The largest value of each channel over the rows of x (N, C) that each of the bags (M, k) lists: (M, C)."""
    if x.device.type == "cpu":  # gathers nothing: many times faster, and k times less memory
        return F.embedding_bag(bags, x, mode="max")
    return x[bags].amax(dim=1)  # embedding_bag's gradient isn't deterministic on CUDA


def neighbour_sum(x: Tensor, bags: Tensor) -> Tensor:
    """The sum over the rows of x (N, C) that each of the bags (M, k) lists: (M, C)."""
    if x.device.type == "cpu":
        return F.embedding_bag(bags, x, mode="sum")
    return x[bags].sum(dim=1)
