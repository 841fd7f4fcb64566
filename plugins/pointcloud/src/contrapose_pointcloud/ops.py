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


@torch.no_grad()
def squared_distances(a: Tensor, b: Tensor) -> Tensor:
    """Squared distances (n, M, P) of each of a (n, M, D) to each of b (n, P, D), in float32 (float64 for float64).

    Differences, coordinate by coordinate: never negative, 0 between points at one place, exact far from the origin. Meant for
    coordinates; ``knn`` suits features, where D is large.
    """
    a, b = at_least_float(a), at_least_float(b)
    total = a.new_zeros(a.shape[0], a.shape[1], b.shape[1])
    for left, right in zip(a.unbind(-1), b.unbind(-1), strict=True):
        difference = left.unsqueeze(2) - right.unsqueeze(1)
        total.addcmul_(difference, difference)
    return total


@torch.no_grad()
def nearest(queries: Tensor, x: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k points of x (n, P, D) nearest to each of queries (n, M, D), nearest first: indices (n, M, k) int64, squared distances.

    Where P < k, all P. Distances as ``squared_distances`` has them; points at one place are all equally near.
    """
    squared = squared_distances(queries, x)
    found = smallest(squared, min(k, x.shape[1]))
    squared, order = squared.gather(2, found).sort(dim=2)
    return found.gather(2, order), squared


def ball(queries: Tensor, x: Tensor, radius: float, k: int) -> Tensor:
    """Indices (n, M, k) of points of x (n, P, D) within ``radius`` of each of queries (n, M, D); k is P where P < k.

    The k nearest of them, and the nearest again and again where there are fewer. PointNet++ (Qi et al., 2017, section 3.2) leaves
    open which k; its code takes the first in memory, which makes the result hang on the points' order. A query that
    has nothing in its ball gets its nearest point.
    """
    found, squared = nearest(queries, x, k)
    return torch.where(squared <= radius**2, found, found[..., :1])


def group(x: Tensor, indices: Tensor) -> Tensor:
    """The rows (n, ..., C) of each cloud of x (n, P, C) that indices (n, ...) list."""
    start = torch.arange(x.shape[0], device=x.device) * x.shape[1]
    flat = indices + start.view(-1, *[1] * (indices.ndim - 1))
    return F.embedding(flat, x.flatten(0, 1))  # its gradient is fast on a CPU, and deterministic on CUDA


def interpolate(queries: Tensor, x: Tensor, features: Tensor) -> Tensor:
    """Features (n, M, C) at queries (n, M, D): means of the features (n, P, C) of the three nearest of x (n, P, D).

    Weights are inverse squared distances (PointNet++, Qi et al., 2017, equation 2), of which those below 1e-10 count as 1e-10, as
    in its code. Where P < 3, all P. No gradient by the coordinates.
    """
    found, squared = nearest(queries, x, 3)
    weights = squared.clamp_min(1e-10).reciprocal()
    weights = weights / weights.sum(dim=2, keepdim=True)
    return (group(features, found) * weights.unsqueeze(3).to(features.dtype)).sum(dim=2)


def at_least_float(x: Tensor) -> Tensor:
    """x in float32 where it has fewer digits."""
    return x if x.dtype == torch.float64 else x.float()
