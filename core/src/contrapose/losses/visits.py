"""Reductions over pairs by visits, each made again in the backward pass: nothing of the size of Q x K is ever kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from types import EllipsisType
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from contrapose.losses.fused import FusedLogSum
from contrapose.losses.logsum import LogSum
from contrapose.losses.pair import LOWEST, Block, PairLoss, Part, Sum, reduce_part, result_of
from contrapose.types import Pairs

Where = slice | Tensor


@dataclass
class Visit:
    """Some pairs of a block, of anchors in one table: the tile of anchors ``i`` and keys ``j``, or of each one the other, (P,)."""

    block: int
    table: int
    i: Where
    j: Where
    pairs: Callable[[], Pairs]


Kinds = dict[str, tuple[str, str]]
"""How each part is reduced, and what a pair that isn't visited adds to it: ``nothing``, ``one``, or its ``logit``.

``group's one`` and ``group's logit`` are added by pairs of one group alone (`groups.py`).
"""


@dataclass
class Rest:
    """The pairs that aren't visited: what they add to each part, how many an anchor has (Q,), and the log-sums of their logits."""

    kinds: Kinds
    count: Tensor
    kernel: LogSum | FusedLogSum | None

    def add(self, results: dict[str, Tensor]) -> dict[str, Tensor]:
        """The results of all pairs from those of the visited."""
        found, logsum = {}, None if self.kernel is None else self.kernel()
        for name, (how, kind) in self.kinds.items():
            none = torch.full_like(self.count, 0.0 if how == "sum" else -torch.inf)
            found[name] = results.get(name, none)
            if kind == "one":
                found[name] = found[name] + self.count
            elif kind == "logit" and logsum is not None:
                found[name] = torch.logaddexp(found[name], logsum)
        return found

    def add_gradients(self, results: dict[str, Tensor], outer: dict[str, Tensor], grads: dict[int, Tensor]) -> None:
        """Add the gradients of tables and scales."""
        for name, (_, kind) in self.kinds.items():
            if kind == "logit" and self.kernel is not None:
                self.kernel.add_gradients(results[name], outer[name], grads)


class Visits:
    """One pass of a loss over its pairs: where they are, and what the loss reads beside their logits.

    Args:
        blocks: the blocks of keys.
        loss: whose parts are reduced.
        walk: the visits, the same each time it is called.
        seen: the first pass's results (Q,), in the second.
        attract: (Q,) the anchors' weights of their positive part.
        rest: what other pairs add.
    """

    def __init__(
        self,
        blocks: Sequence[Block],
        loss: PairLoss,
        walk: Callable[[], Iterable[Visit]],
        seen: dict[str, Tensor] | None,
        attract: Tensor | None,
        rest: Rest | None = None,
    ) -> None:
        self.blocks, self.loss, self.walk, self.seen, self.attract = blocks, loss, walk, seen, attract
        self.rest = rest
        self.names: list[str] = []

    def reduce(self) -> dict[str, Tensor]:
        """The reductions (Q,) by name, in the graph of everything that they are computed from."""
        made = _Reduce.apply(self, *self.inputs())
        return dict(zip(self.names, made, strict=True))

    def inputs(self) -> list[Tensor]:
        """Everything that may have a gradient, each once."""
        found: list[Any] = [self.attract, *(self.seen or {}).values(), *self.parameters()]
        for b in self.blocks:
            found += [*b.tables, b.keys.z, b.keys.tau, b.keys.bias, b.scale, b.bias]
        return [*{id(t): t for t in found if isinstance(t, Tensor)}.values()]

    def parameters(self) -> list[nn.Parameter]:
        """Of the loss and the similarities, where these are modules."""
        modules = [m for m in (self.loss, *(b.similarity for b in self.blocks)) if isinstance(m, nn.Module)]
        return [p for m in modules for p in m.parameters()]

    def parts(self, visit: Visit, leaf: _Leaves) -> dict[str, Part]:
        """The parts of a visit, computed from leaves."""
        block, i, j = self.blocks[visit.block], visit.i, visit.j
        keys, paired = block.keys, isinstance(i, Tensor)

        def of_key(column: Tensor) -> Tensor:
            return leaf(column, j)[:, None] if paired else leaf(column, j)

        z = leaf(keys.z, (i, j)) if keys.private else of_key(keys.z)  # type: ignore[arg-type]
        table, at = [*block.anchors()][visit.table]
        own = slice(i.start - at.start, i.stop - at.start) if isinstance(i, slice) else i - at.start
        s = block.similarity(leaf(table, own), z, keys.private or paired)
        s = s * leaf(block.scale, ...) if keys.tau is None else s / of_key(keys.tau)
        if keys.bias is not None:
            s = s + of_key(keys.bias)
        if block.bias is not None:
            s = s + leaf(block.bias, ...)
        pairs = visit.pairs()
        pairs = replace(pairs, pos=pairs.pos.to(s.dtype), den=pairs.den.to(s.dtype), attract=leaf(self.attract, i))
        seen = None if self.seen is None else {name: leaf(x, i) for name, x in self.seen.items()}
        return self.loss.parts(s, pairs, seen)


class _Leaves:
    """Parts of tensors, outside any graph, and where their gradients are added up."""

    def __init__(self, grads: dict[int, Tensor] | None = None) -> None:
        self.grads = grads or {}
        self.taken: list[tuple[Tensor, Tensor, Where | EllipsisType]] = []

    def __call__(self, whole: Any, at: Where | EllipsisType) -> Any:
        if not isinstance(whole, Tensor):
            return whole
        part = whole.detach()[at]
        part = part.to(torch.promote_types(part.dtype, torch.float32))
        if id(whole) in self.grads:
            self.taken.append((part.requires_grad_(), self.grads[id(whole)], at))
        return part

    def add(self, values: Sequence[Tensor], cotangents: Sequence[Tensor]) -> None:
        """Add the gradients of the values to what the leaves were taken from."""
        for (_, total, at), grad in zip(
            self.taken,
            torch.autograd.grad(values, [part for part, _, _ in self.taken], cotangents, allow_unused=True),
            strict=True,
        ):
            if grad is None:
                continue
            if isinstance(at, Tensor):
                total.index_add_(0, at, grad)
            else:
                total[at] += grad


class _Reduce(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, visits: Visits, *inputs: Tensor) -> tuple[Tensor, ...]:
        sums: dict[str, Sum] = {}
        fixed: set[str] = set()
        for visit in visits.walk():
            for name, part in visits.parts(visit, _Leaves()).items():
                sums[name] = _added(sums.get(name), visit.i, reduce_part(*part), len(visits.blocks[0]))
                fixed.update([name] if part[1] is None else [])
        results = {name: result_of(*s) for name, s in sums.items()}
        if visits.rest is not None:
            results = visits.rest.add(results)
        visits.names = [*results]
        ctx.visits = visits
        ctx.mark_non_differentiable(*[r for name, r in results.items() if name in fixed])
        ctx.save_for_backward(*inputs, *results.values())
        return tuple(results.values())

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:
        visits: Visits = ctx.visits
        inputs = visits.inputs()  # what was saved may be a copy, and gradients are kept by identity
        results = dict(zip(visits.names, ctx.saved_tensors[len(inputs) :], strict=True))
        outer = dict(zip(visits.names, upstream, strict=True))
        grads = {
            id(t): torch.zeros_like(t, dtype=torch.promote_types(t.dtype, torch.float32))
            for t, wanted in zip(inputs, ctx.needs_input_grad[1:], strict=True)
            if wanted
        }
        for visit in visits.walk():
            leaf = _Leaves(grads)
            leaf.taken += [(p, grads[id(p)], ...) for p in visits.parameters() if id(p) in grads]
            with torch.enable_grad():
                parts = visits.parts(visit, leaf)
            pushed = [
                (value, _cotangent(how, value.detach(), weight, outer[name][visit.i], results[name][visit.i]))
                for name, (how, value, weight) in parts.items()
                if value is not None and value.requires_grad
            ]
            if pushed:
                leaf.add([value for value, _ in pushed], [grad for _, grad in pushed])
        if visits.rest is not None:
            visits.rest.add_gradients(results, outer, grads)
        return None, *(grads[id(t)].to(t.dtype) if id(t) in grads else None for t in inputs)


def _cotangent(how: str, value: Tensor, weight: Tensor, outer: Tensor, result: Tensor) -> Tensor:
    """The gradient by a part's values, given that by its result."""
    if how == "sum":
        return weight * outer[:, None]
    nothing = result.isneginf()
    outer, result = outer.masked_fill(nothing, 0.0), result.masked_fill(nothing, 0.0)
    share = value.masked_fill(weight <= 0, -torch.inf).sub_(result[:, None]).exp_()
    return share.mul_(weight).mul_(outer[:, None])


def _added(before: Sum | None, i: Where, part: Sum, count: int) -> Sum:
    """A visit's reductions added to those of all anchors (Q,) before it."""
    top, total = part
    if before is None:
        before = None if top is None else top.new_full((count,), LOWEST), total.new_zeros(count)
    at = torch.arange(i.start, i.stop, device=total.device) if isinstance(i, slice) else i
    old, sums = before
    if old is None or top is None:
        return None, sums.index_add_(0, at, total)
    new = old.scatter_reduce(0, at, top, "amax")
    return new, sums.mul_((old - new).exp_()).index_add_(0, at, total * (top - new[at]).exp_())
