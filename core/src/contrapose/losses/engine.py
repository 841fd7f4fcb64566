"""How the pairs of a loss are visited: all at once, or in tiles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from contrapose.losses.pair import Block, PairLoss, Plan, Sum, join_sums, reduce_part, result_of
from contrapose.losses.tiled import Tiled

MANY = 2**20
"""So many pairs are where tiles begin to pay: a dense loss keeps several matrices of them."""


@dataclass(frozen=True)
class Engine:
    """How to visit pairs.

    Args:
        name: ``dense`` keeps matrices of all pairs; ``tiled`` makes each tile when it is needed, twice, and holds at most 4 times
            the tables, 16 numbers a row and 32 tiles; ``auto`` takes tiles where there are more than a million pairs. ``triton``
            is ``tiled`` with the log-sums of the NCE family by fused kernels on a CUDA device, and raises ``ConfigError`` for
            what these can't do. Its speed was never measured, so ``auto`` doesn't take it.
        tile: side of the tiles; by default 512 on a CPU, whose cache should hold one, and 4096 on a GPU. With ``triton``, so
            many pairs at a time (its square, over the width of the tables) are visited singly.
    """

    name: Literal["auto", "dense", "tiled", "triton"] = "auto"
    tile: int | None = None

    def side(self, blocks: Sequence[Block]) -> int | None:
        """The tiles' side for these blocks, or None for all pairs at once."""
        q = blocks[0]
        if self.name == "dense" or (self.name == "auto" and len(q) * sum(b.width for b in blocks) <= MANY):
            return None
        return self.tile or (512 if q.tables[0].device.type == "cpu" else 4096)


DENSE = Engine("dense")


def pair_loss(
    blocks: Sequence[Block], plan: Plan, loss: PairLoss, scale: Tensor | float, engine: Engine = DENSE
) -> tuple[Tensor, Tensor]:
    """Loss (Q,) and weight (Q,) of every anchor over all blocks of keys."""
    side = engine.side(blocks)
    seen: dict[str, Tensor] = {}
    if side is None:
        row = _dense(blocks, plan, loss, seen)
    else:
        row = _tiled(blocks, plan, loss, seen, side, engine.name == "triton")
    if not seen:
        nothing = blocks[0].tables[0].new_zeros(len(blocks[0]))
        return nothing, nothing
    value, valid = loss.finish(seen, scale)
    weight = valid.to(value.dtype) if row is None else torch.where(valid, row, torch.zeros_like(row))
    return value, weight


def _dense(blocks: Sequence[Block], plan: Plan, loss: PairLoss, seen: dict[str, Tensor]) -> Tensor | None:
    """Fill ``seen`` with the reductions of all passes, and return the anchors' weights."""
    row: Tensor | None = None
    every = slice(0, len(blocks[0]))
    for n in range(loss.passes):
        sums: dict[str, Sum] = {}
        for b, block in enumerate(blocks):
            if not block.width or not len(block):
                continue
            j = slice(0, block.width)
            pairs = plan.tile(b, every, j)
            parts = loss.parts(block.logits(every, j), pairs, dict(seen) if n else None)
            sums.update({name: join_sums(sums.get(name), reduce_part(*part)) for name, part in parts.items()})
            row = pairs.row
        seen.update({name: result_of(*s) for name, s in sums.items()})
    return row


def _tiled(
    blocks: Sequence[Block], plan: Plan, loss: PairLoss, seen: dict[str, Tensor], side: int, fused: bool
) -> Tensor | None:
    """The same in tiles."""
    if not len(blocks[0]) or not any(b.width for b in blocks):
        return None
    tiled = Tiled(blocks, plan, loss, side, fused)
    row, attract = tiled.own()
    for n in range(loss.passes):
        seen.update(tiled.reduce(dict(seen) if n else None, attract))
    return row
