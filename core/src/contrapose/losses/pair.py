"""Pair losses as streams: what each adds up over the keys of an anchor, and what it makes of the sums.

A pair loss never sees the whole Q x K matrix. ``parts`` says which reductions over the keys it needs, an engine (`engine.py`)
runs them over one tile or many and joins the tiles exactly (a running maximum for log-sums), ``finish`` turns them into a number
per anchor.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from contrapose.types import Listed, Pairs, Rows

Part = tuple[Literal["sum", "lse"], Tensor | None, Tensor]
"""(how to reduce, values (q, k), weights (q, k) >= 0): ``sum_k w v`` or ``log sum_k w exp v``, where weight 0 leaves out.

Without values, ``sum_k w``. The gradient flows through the values alone. Values and weights of a pair follow from that pair, its
anchor's numbers and nothing else, and the weights not from its logit.
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


@runtime_checkable
class Listing(Protocol):
    """A plan that can also say which pairs are not like nearly all others, where these are few."""

    def listed(self, block: int) -> Listed | None:
        """The pairs of a block, or None where too many differ."""


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
    """The anchors and keys of one key block, normalised already, and the logits between them.

    The anchors are one table, or several one after the other, as they are: a table that is on both sides is the same tensor.
    """

    def __init__(
        self,
        q: Tensor | Sequence[Tensor],
        keys: Rows,
        similarity: Callable[[Tensor, Tensor, bool], Tensor],
        scale: Tensor | float,
        bias: Tensor | float | None,
    ) -> None:
        self.tables = [q] if isinstance(q, Tensor) else [*q]
        self.keys, self.similarity, self.scale, self.bias = keys, similarity, scale, bias

    def __len__(self) -> int:
        return sum(len(table) for table in self.tables)

    def anchors(self) -> Iterator[tuple[Tensor, slice]]:
        """The tables of the anchors, and where each stands among them."""
        first = 0
        for table in self.tables:
            yield table, slice(first, first + len(table))
            first += len(table)

    def rows(self, i: slice) -> Tensor:
        """The anchors ``i``."""
        if len(self.tables) == 1:
            return self.tables[0][i]
        parts = [(t, max(i.start - at.start, 0), max(i.stop - at.start, 0)) for t, at in self.anchors()]
        return torch.cat([table[start:stop] for table, start, stop in parts])

    @property
    def width(self) -> int:
        """How many keys each anchor has here."""
        return self.keys.z.shape[1] if self.keys.private else len(self.keys)

    def logits(self, i: slice, j: slice) -> Tensor:
        """(q, k) logits of a tile."""
        k = self.keys
        s = self.similarity(self.rows(i), k.z[i, j] if k.private else k.z[j], k.private)
        s = s * self.scale if k.tau is None else s / k.tau[j]
        if k.bias is not None:
            s = s + k.bias[j]
        return s if self.bias is None else s + self.bias


def reduce_part(how: str, value: Tensor | None, weight: Tensor) -> Sum:
    """A part over the keys of one tile."""
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


def join_sums(before: Sum | None, part: Sum) -> Sum:
    """Two tiles' reductions as one."""
    if before is None:
        return part
    if before[0] is None or part[0] is None:
        return None, before[1] + part[1]
    top = torch.maximum(before[0], part[0])
    return top, before[1] * (before[0] - top).exp() + part[1] * (part[0] - top).exp()


def result_of(top: Tensor | None, total: Tensor) -> Tensor:
    """A reduction over all keys as a number: the sum, or the logarithm, -inf of nothing."""
    if top is None:
        return total
    some = total != 0  # NaN is something
    return torch.where(some, top + torch.where(some, total, 1.0).log(), -torch.inf)
