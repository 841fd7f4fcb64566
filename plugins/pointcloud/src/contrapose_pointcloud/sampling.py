"""Farthest point sampling, in plain torch."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from contrapose_pointcloud.ops import at_least_float

_ROWS = 64


@torch.no_grad()
def farthest(x: Tensor, m: int, start: Tensor | int = 0) -> Tensor:
    """Indices (n, m) int64 of m >= 1 points of each cloud x (n, P, D), each the farthest from those before it.

    The first is ``start``, one index or (n,) of them; nothing is drawn. A prefix of the result is what a smaller m gives, and what
    sampling the sampled points again gives. Points at one place are taken once: where the places are used up, as they are
    where m > P, the rest repeat ``start``. Distances are sums of squared differences in float32 (float64 for float64), also
    under autocast, so that they are as exact far from the origin as the coordinates are. Time O(m P), memory O(P).

    Source: Eldar et al., The farthest point strategy, 1997; Qi et al., PointNet++, 2017, section 3.2.
    """
    x = at_least_float(x)
    n, size, _ = x.shape
    first = torch.as_tensor(start, device=x.device).expand(n).unsqueeze(1)
    padding = -size % _ROWS
    axes = F.pad(x.permute(2, 0, 1), (0, padding)).contiguous()  # one contiguous (n, P) for each coordinate
    nearest = F.pad(x.new_full((n, size), torch.inf), (0, padding), value=-torch.inf)  # padding is never the farthest
    difference, square = torch.empty_like(nearest), torch.empty_like(nearest)
    columns = axes.unbind()
    last, chosen, gaps = first, [first], [x.new_full((n, 1), torch.inf)]
    for _ in range(m - 1):
        here = axes.gather(2, last.expand(len(axes), n, 1)).unbind()
        torch.sub(columns[0], here[0], out=square).square_()
        for values, value in zip(columns[1:], here[1:], strict=True):
            torch.sub(values, value, out=difference)
            square.addcmul_(difference, difference)
        torch.minimum(nearest, square, out=nearest)
        gap, last = _largest(nearest)
        chosen.append(last)
        gaps.append(gap)
    return torch.where(torch.cat(gaps, 1) > 0, torch.cat(chosen, 1), first)


def _largest(values: Tensor) -> tuple[Tensor, Tensor]:
    """The largest of each row of values (n, P), P a multiple of ``_ROWS``, and its index: (n, 1) each."""
    if values.device.type != "cpu":
        return values.max(dim=1, keepdim=True)
    grid = values.unflatten(
        1, (_ROWS, -1)
    )  # a CPU's argmax is far slower than its amax, and its amax fastest over rows
    largest, column = grid.amax(dim=1).max(dim=1, keepdim=True)
    row = grid.gather(2, column.unsqueeze(2).expand(-1, _ROWS, 1)).argmax(dim=1)
    return largest, row * grid.shape[2] + column


def outermost(x: Tensor) -> Tensor:
    """Index (n,) of the point of each cloud x (n, P, D) farthest from its mean: a start that doesn't hang on the points' order."""
    x = at_least_float(x.detach())
    return (x - x.mean(dim=1, keepdim=True)).square().sum(dim=-1).argmax(dim=1)
