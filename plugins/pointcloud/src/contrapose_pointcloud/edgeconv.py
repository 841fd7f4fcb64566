"""EdgeConv (Wang et al., DGCNN, 2019), computed without its edges."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from contrapose_pointcloud.ops import at_least_float, knn, neighbour_max, neighbour_sum

SLOPE = 0.2


class EdgeConv(nn.Module):
    """For each point i the maximum, over its k nearest points j in feature space, of act(BN(W [x_j - x_i, x_i])).

    The linear map splits into u_j + v_i with u = W₁x and v = (W₂ - W₁)x, so it runs on points, not on edges. BatchNorm and
    LeakyReLU are monotonous in each channel, so the maximum goes before them; and BatchNorm's mean and variance over all
    edges follow from sums over neighbourhoods. The same function (to rounding), the same gradients, and no (n, P, k, C) tensor.

    Args:
        inputs: channels of the points.
        outputs: channels of the result.
        k: neighbours, the point itself among them; all points where there are fewer.
    """

    def __init__(self, inputs: int, outputs: int, k: int) -> None:
        super().__init__()
        self.k = k
        self.linear = nn.Linear(2 * inputs, outputs, bias=False)
        self.norm = nn.BatchNorm1d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(n, P, inputs) to (n, P, outputs)."""
        near = knn(x, self.k)
        start = torch.arange(x.shape[0], device=x.device)[:, None, None] * x.shape[1]
        bags = (near + start).flatten(0, 1)
        difference, self_part = self.linear.weight.chunk(2, dim=1)
        u = F.linear(x, difference).flatten(0, 1)
        v = F.linear(x, self_part - difference).flatten(0, 1)
        with torch.autocast(x.device.type, enabled=False):
            out = self._norm_of_max(at_least_float(u), at_least_float(v), bags)
        return F.leaky_relu(out, SLOPE).unflatten(0, x.shape[:2])

    def _norm_of_max(self, u: Tensor, v: Tensor, bags: Tensor) -> Tensor:
        """max_j BN(u_j + v_i) for each row i of v, over the rows j that ``bags`` lists."""
        norm: Any = self.norm
        if isinstance(self.norm, nn.SyncBatchNorm):  # it must see the edges themselves
            edges = u[bags] + v[:, None]
            return norm(edges.flatten(0, 1)).unflatten(0, bags.shape).amax(dim=1)
        if self.training and len(v):
            mean, variance = self._statistics(u, v, bags)
        else:
            mean, variance = norm.running_mean, norm.running_var
        factor = norm.weight * torch.rsqrt(variance + norm.eps)
        sign = torch.where(factor < 0, -1.0, 1.0).to(u)  # a negative factor turns the maximum into a minimum
        largest = neighbour_max(u * sign, bags) * sign
        return (largest + v - mean) * factor + norm.bias

    def _statistics(self, u: Tensor, v: Tensor, bags: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance of u_j + v_i over all edges, by channel; the running ones move along."""
        edges, k = bags.numel(), bags.shape[1]
        shift_u, shift_v = u.detach().mean(dim=0), v.detach().mean(dim=0)
        u, v = u - shift_u, v - shift_v  # E[h²] - E[h]² needs small means
        near = neighbour_sum(u, bags)
        uses = torch.bincount(bags.flatten(), minlength=len(u)).to(u)
        mean = (near.sum(dim=0) + k * v.sum(dim=0)) / edges
        square = (uses @ u.square() + 2 * (v * near).sum(dim=0) + k * v.square().sum(dim=0)) / edges
        variance = (square - mean.square()).clamp_min(0)
        mean = mean + shift_u + shift_v
        with torch.no_grad():
            norm: Any = self.norm
            norm.num_batches_tracked.add_(1)
            # As nn.BatchNorm1d does: without a momentum, the plain mean over all batches.
            share = 1 / float(norm.num_batches_tracked) if norm.momentum is None else norm.momentum
            norm.running_mean.lerp_(mean.to(norm.running_mean), share)
            norm.running_var.lerp_((variance * edges / max(edges - 1, 1)).to(norm.running_var), share)
        return mean, variance
