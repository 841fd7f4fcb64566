"""Tables across ranks, with gradient."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import Parameter

from contrapose.types import Rows, ident, unknown

Schema = dict[str, tuple[torch.dtype, int]]


def world_size() -> int:
    """Number of ranks; 1 without a process group."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def gather(rows: Rows) -> tuple[Rows, slice]:
    """The rows of all ranks, in their order, with gradient to each rank's own; and where this rank's are among them.

    Ranks may have any number of rows. A column that a rank lacks (it had no row of that view) is unknown there.
    """
    if world_size() == 1 or rows.private or rows.replicated:
        return rows, slice(0, len(rows))
    counts, schema = _agree(rows)
    z = _Gather.apply(rows.z, counts) if rows.z.requires_grad else _collect(rows.z, counts)
    meta: dict[str, Tensor] = {}
    for dtype in sorted({d for d, _ in schema.values()}, key=str):
        names = [n for n, (d, ndim) in schema.items() if d == dtype and ndim == 1]
        if names:  # in one message
            meta |= dict(zip(names, _collect(_stacked(rows, names, dtype), counts).unbind(1), strict=True))
    for name, (dtype, ndim) in schema.items():
        if ndim == 2:
            column = rows.meta.get(name, rows.z.new_zeros((len(rows), 0), dtype=dtype))
            meta[name] = _collect(_padded(column), counts)
    bias, tau = (None if part is None else _collect(part, counts) for part in (rows.bias, rows.tau))
    start = sum(counts[: dist.get_rank()])
    return replace(rows, z=z, meta=meta, bias=bias, tau=tau), slice(start, start + len(rows))


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


def average(parameters: Iterable[Parameter]) -> None:
    """Average ``grad`` over ranks, as DDP does; a rank that has none counts as zero, and where none has any, none it stays."""
    params = [p for p in parameters if p.requires_grad]
    if world_size() == 1 or not params:
        return
    having = torch.tensor([p.grad is not None for p in params], device=params[0].device).int()
    dist.all_reduce(having)
    works = []
    for p, ranks in zip(params, having.tolist(), strict=True):
        if ranks:
            p.grad = torch.zeros_like(p) if p.grad is None else p.grad.div_(world_size())
            works.append(dist.all_reduce(p.grad, async_op=True))
    for work in works:
        work.wait()


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, z: Tensor, counts: list[int]) -> Tensor:
        ctx.counts = counts
        return _collect(z, counts)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        grad = grads[0].clone(
            memory_format=torch.contiguous_format
        )  # autograd may hand the same tensor to another node
        dist.all_reduce(grad)
        start = sum(ctx.counts[: dist.get_rank()])
        return grad[start : start + ctx.counts[dist.get_rank()]], None


def _agree(rows: Rows) -> tuple[list[int], Schema]:
    """How many rows each rank has, and the columns of all. Ranks that agree, nearly always, exchange two numbers."""
    mine: Schema = {n: (c.dtype, c.ndim) for n, c in sorted(rows.meta.items())}
    note = torch.tensor([len(rows), ident(repr(mine))], device=rows.z.device)
    everyone = [torch.zeros_like(note) for _ in range(world_size())]
    dist.all_gather(everyone, note)
    notes = torch.stack(everyone).tolist()
    counts = [n for n, _ in notes]
    if len({digest for _, digest in notes}) > 1:
        schemas: list[Any] = [None] * world_size()
        dist.all_gather_object(schemas, mine)
        mine = dict(sorted({n: kind for schema in schemas for n, kind in schema.items()}.items()))
    return counts, mine


def _stacked(rows: Rows, names: list[str], dtype: torch.dtype) -> Tensor:
    nothing = rows.z.new_full((len(rows),), unknown(dtype), dtype=dtype)
    return torch.stack([rows.meta.get(n, nothing) for n in names], 1)


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


def _padded(column: Tensor) -> Tensor:
    """A multi-valued column, made as wide as the widest rank's."""
    width = torch.tensor([column.shape[1]], device=column.device)
    dist.all_reduce(width, op=dist.ReduceOp.MAX)
    return torch.nn.functional.pad(column, (0, int(width) - column.shape[1]), value=unknown(column.dtype))
