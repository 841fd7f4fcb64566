"""Modules whose forward pass is a work of all ranks: each rank calls them equally often, in the same order, rows or no rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn

from contrapose.branches.heads import lone
from contrapose.branches.syncnorm import SyncNorm, absent
from contrapose.methods.gather import world_size
from contrapose.types import tree_cat, tree_map, tree_shape

Note = tuple[int, int, Any]


def collective(module: nn.Module) -> bool:
    """Whether a module waits for other ranks as it computes: a part of it says so (``collective``), and there are others."""
    return world_size() > 1 and any(getattr(m, "collective", False) for m in module.modules())


def run_jointly(
    module: nn.Module, data: Sequence[Any], rows: Sequence[int], vectors: Sequence[int], together: bool
) -> list[Any]:
    """The module's outcome for several batches, called equally often on all ranks.

    Where a rank has no rows of what others have, it computes on one of theirs and keeps none of the outcome, so that its backward
    pass waits for them too. Views are batched as in a single process: those of one shape, if ``together``.

    Args:
        module: an encoder or a head.
        data: collated batches, equally many on all ranks; anything where this rank has no rows.
        rows: how many rows each has here.
        vectors: how many numbers a channel each has here for a BatchNorm, which one alone doesn't suit (``lone``).
        together: batch those of one shape.

    Returns:
        The outcome for each, tensors whose first dimension is the row; None where no rank has rows.
    """
    mine: list[Note] = [(n, v, tree_shape(d) if n else None) for d, n, v in zip(data, rows, vectors, strict=True)]
    everyone: list[Any] = [None] * world_size()
    dist.all_gather_object(everyone, mine)
    made: list[Any] = [None] * len(data)
    for members in _groups([[notes[k][2] for notes in everyone] for k in range(len(data))], together):
        counts = [sum(notes[k][0] for k in members) for notes in everyone]
        having = [k for k in members if rows[k]]
        batch: Any = tree_cat([data[k] for k in having]) if len(having) > 1 else data[having[0]] if having else None
        if not all(counts):
            batch = _lent(batch, next(r for r, n in enumerate(counts) if n), next(iter(module.parameters())))
        empty = [data[k].sum() for k in members if not rows[k] and isinstance(data[k], Tensor)]
        if empty:  # what was before them must take part in the backward pass
            batch = batch + torch.stack(empty).sum()
        synced = any(isinstance(m, SyncNorm) for m in module.modules())
        shared = everyone if synced else [mine]
        if sum(notes[k][1] for k in members for notes in shared) == 1:
            out = lone(module, batch)
        elif having:
            out = module(batch)
        else:
            with absent(module):
                out = module(batch)
        begin = 0
        for k in members:
            made[k] = _part(out, slice(begin, begin + rows[k]))
            begin += rows[k]
    return made


def _groups(shapes: Sequence[Sequence[Any]], together: bool) -> list[list[int]]:
    """Which batches go in one call: those that agree in shape on every rank that has both. ``shapes`` by batch and rank."""
    groups: list[tuple[list[int], list[Any]]] = []
    for k, of in enumerate(shapes):
        if all(shape is None for shape in of):
            continue
        for members, known in groups:
            if together and all(a is None or b is None or a == b for a, b in zip(known, of, strict=True)):
                members.append(k)
                known[:] = [a if a is not None else b for a, b in zip(known, of, strict=True)]
                break
        else:
            groups.append(([k], [*of]))
    return [members for members, _ in groups]


def _lent(batch: Any, lender: int, like: Tensor) -> Any:
    """``batch``, or, where there is none, the first row of the lender's."""
    row = [tree_map(lambda t: t[:1].detach().cpu(), batch) if dist.get_rank() == lender else None]
    dist.broadcast_object_list(row, lender)
    return batch if batch is not None else tree_map(lambda t: t.to(like.device), row[0])


def _part(out: Any, rows: slice) -> Any:
    """Some rows of whatever a module gives: a tensor, or a mapping or tuple of such."""
    if isinstance(out, Mapping):
        return {name: _part(t, rows) for name, t in out.items()}
    return tuple(_part(t, rows) for t in out) if isinstance(out, tuple) else cast(Tensor, out)[rows]
