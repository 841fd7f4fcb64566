"""Rectangles of pairs whose logits a kernel sums up: which tables they are of, and which of them are the same pairs twice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from contrapose.losses.pair import Block
from contrapose.types import Listed


@dataclass
class Rectangle:
    """All pairs of rows ``i`` of table ``x`` with rows ``j`` of table ``y``, but for some.

    Args:
        x: (N, D).
        i: rows of x.
        y: (M, D).
        j: rows of y.
        scale: of their products.
        left_out: positions (P,), (P,) within i and j of the pairs that don't count.
        without: positions (W,) within j of rows that don't count at all, or None.
        anchors: where the rows of x stand among the anchors.
        mirrored: where the rows of y do, if these pairs are also those of y with x; in the rectangle of a table with itself, where
            ``x is y`` and ``i == j``, each pair is then visited once.
    """

    x: Tensor
    i: slice
    y: Tensor
    j: slice
    scale: Tensor | float
    left_out: tuple[Tensor, Tensor]
    without: Tensor | None
    anchors: int
    mirrored: int | None = None

    @property
    def itself(self) -> bool:
        """Whether it is the symmetric square of a table with itself, of which one triangle is enough."""
        return self.mirrored is not None and self.x is self.y and self.i == self.j


def rectangles(blocks: Sequence[Block], lists: Sequence[Listed]) -> list[Rectangle]:
    """The unlisted pairs of weight 1, those that are mirror images of others only once."""
    found: list[Rectangle] = []
    for block, listed in zip(blocks, lists, strict=True):
        for region in listed.regions:
            for table, at in block.anchors():
                rows, j = slice(max(region.i.start, at.start), min(region.i.stop, at.stop)), region.j
                if region.den and rows.start < rows.stop:
                    inside = replace(region, i=rows).holds(listed.i, listed.j)
                    left_out = listed.i[inside] - rows.start, listed.j[inside] - j.start
                    own = slice(rows.start - at.start, rows.stop - at.start)
                    without = None if region.without is None else region.without - j.start
                    made = Rectangle(table, own, block.keys.z, j, block.scale, left_out, without, rows.start)
                    if not any(_mirrors(other, made) for other in found):
                        found.append(made)
                        _mirrors(made, made)
    return found


def _mirrors(one: Rectangle, other: Rectangle) -> bool:
    """Whether the pairs of ``other`` are those of ``one`` the other way round; ``one`` then stands for both."""
    alike = one.x is other.y and one.y is other.x and one.i == other.j and one.j == other.i
    whole = one.without is None and other.without is None
    if not alike or not whole or one.mirrored is not None or not _same(one.scale, other.scale):
        return False
    height, width = one.i.stop - one.i.start, one.j.stop - one.j.start
    (a, b), (c, d) = one.left_out, other.left_out
    if len(a) != len(c) or not torch.equal(a * width + b, (d * width + c).sort().values):
        return False
    one.mirrored = other.anchors
    return height > 0


def _same(a: Tensor | float, b: Tensor | float) -> bool:
    return a is b if isinstance(a, Tensor) or isinstance(b, Tensor) else a == b
