"""Sums over positives that are a whole group, as a label's rows are: by the group's sum of keys, never pair by pair."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from contrapose.losses.pair import Block, PairLoss, Part
from contrapose.types import Listed, Pairs, Region


class Total(PairLoss):
    """The number and the sum of the logits of the positives."""

    def parts(self, logits: Tensor, pairs: Pairs, seen: dict[str, Tensor] | None) -> dict[str, Part]:
        """See the base class."""
        return {"count": ("sum", None, pairs.pos), "sum": ("sum", logits, pairs.pos)}

    def finish(self, acc: dict[str, Tensor], scale: Tensor | float) -> tuple[Tensor, Tensor]:
        """See the base class."""
        return acc["sum"], acc["count"] > 0


def group_totals(blocks: Sequence[Block], lists: Sequence[Listed]) -> tuple[Tensor, Tensor]:
    """Over the pairs of one group, their number and the sum of their logits for each anchor (Q,), the listed pairs among them.

    The sum of an anchor's logits is its product with the sum of the group's keys.
    """
    count, total = zip(*(_of_region(*found) for found in _grouped(blocks, lists)), strict=True)
    return torch.stack(count).sum(0), torch.stack(total).sum(0)


def within_groups(lists: Sequence[Listed]) -> list[Listed]:
    """The listed pairs that are of one group where that makes positives, each of weight 1 and nothing else."""
    return [_within(listed) for listed in lists]


def _grouped(blocks: Sequence[Block], lists: Sequence[Listed]) -> Iterator[tuple[Block, Region, Tensor, Tensor]]:
    for block, listed in zip(blocks, lists, strict=True):
        for region in listed.regions:
            if region.pos and listed.groups is not None:
                yield block, region, *listed.groups


def _of_region(block: Block, region: Region, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    keys = block.keys.z[region.j]
    keys = keys.to(torch.promote_types(keys.dtype, torch.float32))
    many = int(torch.maximum(x.max(), y.max())) + 1
    mine, theirs = (g.where(g >= 0, many) for g in (x[region.i], y[region.j]))  # those of no group make one more
    sums = keys.new_zeros(many + 1, keys.shape[1]).index_add(0, theirs, keys)
    counts = torch.bincount(theirs, minlength=many + 1).to(keys.dtype)
    known = mine < many
    total = (block.rows(region.i) * sums[mine]).sum(1) * block.scale
    around = region.i.start, len(x) - region.i.stop
    return tuple(  # type: ignore[return-value]
        torch.nn.functional.pad(torch.where(known, part, 0.0), around) for part in (counts[mine], total)
    )


def _within(listed: Listed) -> Listed:
    one = torch.zeros_like(listed.pos)
    if listed.groups is not None:
        x, y = listed.groups[0][listed.i], listed.groups[1][listed.j]
        for region in listed.regions:
            if region.pos:
                one += region.holds(listed.i, listed.j) & (x == y) & (x >= 0)
    return Listed([], listed.i, listed.j, one, torch.zeros_like(one))
