"""Tables across ranks, with gradient."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from contrapose.types import Rows


def world_size() -> int:
    """Number of ranks; 1 without a process group."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def gather(rows: Rows) -> Rows:
    """The rows of all ranks, in their order, with gradient to each rank's own; ranks may have any number of rows."""
    world = world_size()
    if world == 1 or rows.private or rows.replicated:
        return rows
    counts = _counts(len(rows), world, rows.z.device)
    z = _Gather.apply(rows.z, counts) if rows.z.requires_grad else _collect(rows.z, counts)
    meta = {name: _collect(_padded(rows.meta[name], world), counts) for name in sorted(rows.meta)}
    bias, tau = (None if part is None else _collect(part, counts) for part in (rows.bias, rows.tau))
    return replace(rows, z=z, meta=meta, bias=bias, tau=tau)


def total(x: Tensor) -> Tensor:
    """The sum over ranks, outside the graph."""
    x = x.detach().clone()
    if world_size() > 1:
        dist.all_reduce(x)
    return x


@torch.no_grad()
def share(tensors: list[Tensor]) -> None:
    """Rank 0's values, to all."""
    if world_size() > 1:
        for t in tensors:
            dist.broadcast(t, 0)


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, z: Tensor, counts: list[int]) -> Tensor:
        ctx.counts = counts
        return _collect(z, counts)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        grad = grads[0].contiguous()
        dist.all_reduce(grad)
        start = sum(ctx.counts[: dist.get_rank()])
        return grad[start : start + ctx.counts[dist.get_rank()]], None


def _counts(n: int, world: int, device: torch.device) -> list[int]:
    mine = torch.tensor([n], device=device)
    everyone = [torch.zeros_like(mine) for _ in range(world)]
    dist.all_gather(everyone, mine)
    return [int(c) for c in everyone]


def _collect(x: Tensor, counts: list[int]) -> Tensor:
    """All ranks' rows: padded to the longest, since not every backend gathers uneven tensors."""
    longest = max(counts)
    if longest == 0:
        return x.detach()
    padded = x.detach().new_zeros((longest, *x.shape[1:]))
    padded[: len(x)] = x.detach()
    everyone = [torch.empty_like(padded) for _ in counts]
    dist.all_gather(everyone, padded)
    return torch.cat([t[:c] for t, c in zip(everyone, counts, strict=True)])


def _padded(column: Tensor, world: int) -> Tensor:
    """A multi-valued column, made as wide as the widest rank's."""
    if column.ndim == 1:
        return column
    width = torch.tensor([column.shape[1]], device=column.device)
    dist.all_reduce(width, op=dist.ReduceOp.MAX)
    return torch.nn.functional.pad(column, (0, int(width) - column.shape[1]), value=-1)
