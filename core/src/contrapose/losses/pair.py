"""Pair losses as streams: what each adds up over the keys of an anchor, and what it makes of the sums.

A pair loss never sees the whole Q x K matrix. ``parts`` says which reductions over the keys it needs, ``pair_loss`` runs
them over one tile or many and joins the tiles exactly (a running maximum for log-sums), ``finish`` turns them into a number per
anchor. The dense loss is the case of one tile a block.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, Protocol

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.utils.checkpoint import checkpoint

from contrapose.types import Pairs, Rows

Part = tuple[Literal["sum", "lse"], Tensor | None, Tensor]
"""(how to reduce, values (q, k), weights (q, k) >= 0): ``sum_k w v`` or ``log sum_k w exp v``, where weight 0 leaves out.

Without values, ``sum_k w``. The gradient flows through the values alone.
"""

Sum = tuple[Tensor | None, Tensor]
"""A reduction (q,) over some of the keys: the plain sum, or, after its maximum, the sum of exponentials below that."""

EXACT = 40.0
"""For ``softplus``: torch's own threshold of 20 is off by 2e-9, which float64 sees."""

LOWEST = -1e30
"""Stands for the maximum of no value at all: finite, so that a difference of two never gives NaN."""


class Plan(Protocol):
    """A relation, ready to say of any tile how its anchors stand to its keys."""

    def tile(self, block: int, i: slice, j: slice) -> Pairs:
        """The pairs of anchors ``i`` with keys ``j`` of key block ``block``."""


class PairLoss(ABC):
    """Base of losses over pairs. ``passes`` is 2 where the second needs the sums of the first."""

    passes = 1

    @abstractmethod
    def parts(self, logits: Tensor, pairs: Pairs, seen: dict[str, Tensor] | None) -> dict[str, Part]:
        """The reductions over the keys that this pass needs. ``seen`` (q,) holds the first pass's in the second."""

    @abstractmethod
    def finish(self, acc: dict[str, Tensor], scale: Tensor | float) -> tuple[Tensor, Tensor]:
        """Loss (Q,) per anchor, and whether it has one (Q,) bool. ``scale`` is 1/tau."""


class Block:
    """The anchors and keys of one key block, normalised already, and the logits between them."""

    def __init__(
        self,
        q: Tensor,
        keys: Rows,
        similarity: Callable[[Tensor, Tensor, bool], Tensor],
        scale: Tensor | float,
        bias: Tensor | float | None,
    ) -> None:
        self.q, self.keys, self.similarity, self.scale, self.bias = q, keys, similarity, scale, bias

    @property
    def width(self) -> int:
        """How many keys each anchor has here."""
        return self.keys.z.shape[1] if self.keys.private else len(self.keys)

    def logits(self, i: slice, j: slice) -> Tensor:
        """(q, k) logits of a tile."""
        k = self.keys
        s = self.similarity(self.q[i], k.z[i, j] if k.private else k.z[j], k.private)
        s = s * self.scale if k.tau is None else s / k.tau[j]
        if k.bias is not None:
            s = s + k.bias[j]
        return s if self.bias is None else s + self.bias


def pair_loss(
    blocks: Sequence[Block], plan: Plan, loss: PairLoss, scale: Tensor | float, tile: int | None = None
) -> tuple[Tensor, Tensor]:
    """Loss (Q,) and weight (Q,) of every anchor over all blocks of keys.

    With ``tile`` the pairs are visited in squares of that side, each recomputed in the backward pass, so that memory is
    O((Q + K) D + tile^2) instead of O(Q K).
    """
    count = blocks[0].q.shape[0]
    done = [_anchors(blocks, plan, loss, scale, i, tile) for i in _slices(count, tile)]
    if not done:
        nothing = blocks[0].q.new_zeros(0)
        return nothing, nothing
    return torch.cat([v for v, _ in done]), torch.cat([w for _, w in done])


def _anchors(
    blocks: Sequence[Block], plan: Plan, loss: PairLoss, scale: Tensor | float, i: slice, tile: int | None
) -> tuple[Tensor, Tensor]:
    row: Tensor | None = None
    seen: dict[str, Tensor] | None = None
    for _ in range(loss.passes):
        sums: dict[str, Sum] = {}
        for b, block in enumerate(blocks):
            for j in _slices(block.width, tile):
                ask = (block, plan, loss, b, i, j, seen)
                made, row = (
                    checkpoint(_visit, *ask, use_reentrant=False, preserve_rng_state=False) if tile else _visit(*ask)
                )
                sums = {name: _join(sums.get(name), part) for name, part in made.items()}
        seen = {**(seen or {}), **{name: _result(*s) for name, s in sums.items()}}
    if not seen:
        nothing = blocks[0].q.new_zeros(blocks[0].q[i].shape[0])
        return nothing, nothing
    value, valid = loss.finish(seen, scale)
    weight = valid.to(value.dtype) if row is None else torch.where(valid, row, torch.zeros_like(row))
    return value, weight


def _visit(
    block: Block, plan: Plan, loss: PairLoss, b: int, i: slice, j: slice, seen: dict[str, Tensor] | None
) -> tuple[dict[str, Sum], Tensor | None]:
    """The reductions over one tile, and its anchors' weights."""
    pairs = plan.tile(b, i, j)
    parts = loss.parts(block.logits(i, j), pairs, seen)
    return {name: _reduce(*part) for name, part in parts.items()}, pairs.row


def _reduce(how: str, value: Tensor | None, weight: Tensor) -> Sum:
    if value is not None and how == "lse":
        return _LogSumExp.apply(value, weight)
    return None, weight.sum(-1) if value is None else torch.linalg.vecdot(weight, value)


class _LogSumExp(torch.autograd.Function):
    """max_k v and sum_k w exp(v - max): one matrix is kept for the backward pass, where autograd would keep four."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        kept = value.masked_fill(weight <= 0, -torch.inf)
        top = kept.amax(-1).clamp_min_(LOWEST)
        each = kept.sub_(top[:, None]).exp_().mul_(weight)
        ctx.save_for_backward(each)
        ctx.mark_non_differentiable(top)
        return top, each.sum(-1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        (each,) = ctx.saved_tensors
        return grads[1][:, None] * each, None


def _join(before: Sum | None, part: Sum) -> Sum:
    """Two tiles' reductions as one."""
    if before is None:
        return part
    if before[0] is None or part[0] is None:
        return None, before[1] + part[1]
    top = torch.maximum(before[0], part[0])
    return top, before[1] * (before[0] - top).exp() + part[1] * (part[0] - top).exp()


def _result(top: Tensor | None, total: Tensor) -> Tensor:
    if top is None:
        return total
    some = total != 0  # NaN is something
    return torch.where(some, top + torch.where(some, total, 1.0).log(), -torch.inf)


def _slices(count: int, tile: int | None) -> Iterator[slice]:
    step = tile or max(count, 1)
    for start in range(0, count, step):
        yield slice(start, min(start + step, count))
