"""log-sum-exps of products of two tables' rows, forward and backward, in tiles."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from contrapose.losses.pair import LOWEST, result_of
from contrapose.losses.rectangles import Rectangle

SAFE = {torch.float32: (70.0, 55.0), torch.float64: (600.0, 500.0)}
"""By dtype, s and m: sums of e^x don't overflow for x <= s, and what underflows is nothing beside a sum of at least e^-m."""


class LogSum:
    """(count,) ``log sum_j exp(scale x_i y_j)`` of each anchor over the pairs of its rectangles, -inf without any.

    Where no logit can be larger than the dtype's exponentials bear, there is no shift; where one could, a fixed shift is tried and
    kept if no anchor's sum is so small that terms were lost; else each anchor has its running maximum. Memory: two tiles of
    ``side``.
    """

    def __init__(self, rectangles: Sequence[Rectangle], count: int, side: int) -> None:
        self.count, self.like = count, rectangles[0].x
        self.dtype = torch.promote_types(self.like.dtype, torch.float32)
        self.tiles = _Tiles(rectangles, side, self.dtype)
        self.shift: float | None = None

    def __call__(self) -> Tensor:
        """The log-sums, outside any graph."""
        total = self.like.new_zeros(self.count, dtype=self.dtype)
        most, least = SAFE[self.dtype]
        highest = _highest(self.tiles.rectangles, self.dtype)
        if math.isfinite(highest):
            self.shift = max(highest - most, 0.0)
            _add_exps(self.tiles, total, self.shift)
            if not self.shift or bool((total >= math.exp(-least)).all()):
                return result_of(torch.full_like(total, self.shift), total)
        self.shift = None
        return _add_exps_below_maximum(self.tiles, total.zero_())

    def add_gradients(self, result: Tensor, outer: Tensor, grads: dict[int, Tensor]) -> None:
        """Add the gradients of tables and scales to those of ``grads``, by their ``id``, that are wanted.

        ``result`` (count,) are the log-sums, maybe over more pairs than these, and ``outer`` is the gradient by them. A logit has
        its share in its anchor's sum, e^s / e^result, times the anchor's gradient; a mirrored one has two anchors.
        """
        nothing = result.isneginf()
        outer, result = outer.masked_fill(nothing, 0.0), result.masked_fill(nothing, 0.0)
        by_sum = None if self.shift is None else outer * (self.shift - result).exp()
        for t in self.tiles:
            r, rows, columns = t.r, t.rows, t.columns
            # times the scale, so that the products are the tables' gradients as they are
            if by_sum is not None:
                each = (t.s.sub_(self.shift) if self.shift else t.s).exp_()
                left = by_sum[rows, None] * r.scale
                each.mul_(left if columns is None else torch.add(left, by_sum[columns] * r.scale, out=t.spare))
            else:
                each = torch.sub(t.s, result[rows, None], out=t.spare).exp_().mul_(outer[rows, None] * r.scale)
                if columns is not None:
                    each.add_(t.s.sub_(result[columns]).exp_().mul_(outer[columns] * r.scale))
            if id(r.scale) in grads:
                pulled = each @ t.y
                grads[id(r.scale)] += (pulled * t.x).sum() / r.scale / (2 if t.square else 1)
                if id(r.x) in grads:
                    grads[id(r.x)][t.i] += pulled
            elif id(r.x) in grads:
                grads[id(r.x)][t.i].addmm_(each, t.y)
            if id(r.y) in grads and not t.square:
                grads[id(r.y)][t.j] += (t.x.T @ each).T  # faster than each.T @ x


@dataclass
class _Tile:
    """Rows ``i`` of a rectangle's x with rows ``j`` of its y.

    ``x``, ``y`` are those rows in the sums' dtype, ``s`` (n, m) their logits, -inf where left out, which may be written into,
    as may ``spare`` (n, m): fresh memory for each tile would cost as much as some of the products.
    """

    r: Rectangle
    i: slice
    j: slice
    x: Tensor
    y: Tensor
    s: Tensor
    spare: Tensor

    @property
    def square(self) -> bool:
        """On the diagonal of a symmetric square: its pairs are there both ways round, rows and columns are the same anchors."""
        return self.r.itself and self.i == self.j

    @property
    def rows(self) -> slice:
        """Where its rows stand among the anchors."""
        first = self.r.anchors - self.r.i.start
        return slice(first + self.i.start, first + self.i.stop)

    @property
    def columns(self) -> slice | None:
        """Where its columns do, if they are anchors too."""
        if self.r.mirrored is None:
            return None
        first = self.r.mirrored - self.r.j.start
        return slice(first + self.j.start, first + self.j.stop)


class _Tiles:
    """The tiles of rectangles, of the upper triangle alone where one is symmetric."""

    def __init__(self, rectangles: Sequence[Rectangle], side: int, dtype: torch.dtype) -> None:
        self.rectangles, self.side, self.dtype = rectangles, side, dtype
        self.left_out = [_by_tile(r, side) for r in rectangles]

    def __iter__(self) -> Iterator[_Tile]:
        room, spare = self.rectangles[0].x.new_empty(2, self.side**2, dtype=self.dtype)
        for r, (rows, columns, starts) in zip(self.rectangles, self.left_out, strict=True):
            across = range(r.j.start, r.j.stop, self.side)
            for a, top in enumerate(range(r.i.start, r.i.stop, self.side)):
                i = slice(top, min(top + self.side, r.i.stop))
                x = r.x[i].to(self.dtype)
                scaled = x * r.scale
                for b, left in enumerate(across):
                    if r.itself and b < a:
                        continue
                    j = slice(left, min(left + self.side, r.j.stop))
                    y = r.y[j].to(self.dtype)
                    size = len(x) * len(y)
                    s = torch.mm(scaled, y.T, out=room[:size].view(len(x), len(y)))
                    tile = slice(starts[a * len(across) + b], starts[a * len(across) + b + 1])
                    if tile.start < tile.stop:
                        s.view(-1).index_fill_(0, rows[tile] * len(y) + columns[tile], -torch.inf)
                    if r.without is not None:
                        first = left - r.j.start
                        out = r.without[(r.without >= first) & (r.without < first + len(y))] - first
                        s.index_fill_(1, out, -torch.inf)
                    yield _Tile(r, i, j, x, y, s, spare[:size].view_as(s))


def _by_tile(r: Rectangle, side: int) -> tuple[Tensor, Tensor, list[int]]:
    """The left out pairs' positions within their tiles, sorted by tile, and where each tile's begin."""
    rows, columns = r.left_out
    down, across = (-(-(part.stop - part.start) // side) for part in (r.i, r.j))
    tile = rows.div(side, rounding_mode="floor") * across + columns.div(side, rounding_mode="floor")
    order = tile.argsort(stable=True)
    starts = torch.bincount(tile, minlength=down * across).cumsum(0).tolist()
    return rows[order] % side, columns[order] % side, [0, *starts]


def _highest(rectangles: Sequence[Rectangle], dtype: torch.dtype) -> float:
    """No logit is larger."""
    longest = [
        abs(r.scale)
        * torch.linalg.vector_norm(r.x[r.i], dim=1, dtype=dtype).max()
        * torch.linalg.vector_norm(r.y[r.j], dim=1, dtype=dtype).max()
        for r in rectangles
    ]
    return float(torch.stack(longest).max())


def _add_exps(tiles: _Tiles, total: Tensor, shift: float) -> None:
    for t in tiles:
        each = (t.s.sub_(shift) if shift else t.s).exp_()
        total[t.rows] += each.sum(1)
        if t.columns is not None and not t.square:
            total[t.columns] += each.sum(0)


def _add_exps_below_maximum(tiles: _Tiles, total: Tensor) -> Tensor:
    """The same, each anchor's below its own maximum so far; returns the log-sums."""
    top = torch.full_like(total, LOWEST)
    for t in tiles:
        for part, dim in ((t.rows, 1), (None if t.square else t.columns, 0)):
            if part is None:
                continue
            before = top[part].clone()
            top[part] = torch.maximum(before, t.s.amax(dim))
            total[part] *= (before - top[part]).exp()
            total[part] += torch.sub(t.s, top[part].unsqueeze(dim), out=t.spare).exp_().sum(dim)
    return result_of(top, total)
