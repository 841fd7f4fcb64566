"""What a predicate is made of: tests of a tile's pairs, by columns of the anchors and of the keys."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce

import torch
from torch import Tensor

from contrapose.draws import keyed_uniform
from contrapose.errors import ConfigError, did_you_mean
from contrapose.types import IDENTITY, Rows, ident, matches, offered

UNKNOWN = -(2**62)
SELF = "self"
"""A column that every table has without being given it: it numbers each row by its identity."""


@dataclass(frozen=True)
class Tile:
    """What an atom may look at: the tile's anchors and keys, its positives so far, and the view names of the run."""

    q: Rows
    k: Rows
    names: frozenset[str]
    positive: Tensor | None = None


@dataclass(frozen=True)
class Atom:
    """One test of a tile's pairs, and what it depends on, by which a plan may know its answer without asking pair by pair.

    ``test`` gives bool (q, k) or broadcasts to it. ``joins`` names a column of the anchors and one of the keys that agree
    wherever the test holds; ``reads`` a column of the keys that decides it alone; neither means that it must be asked.
    """

    test: Callable[[Tile], Tensor]
    joins: tuple[str, str] | None = None
    reads: str | None = None
    always: bool | None = None

    def __call__(self, tile: Tile) -> Tensor:
        """Whether it holds, pair by pair."""
        return self.test(tile)


def _sides(tile: Tile, a: str, b: str) -> tuple[Tensor, Tensor]:
    """Column ``a`` of the anchors and ``b`` of the keys, shaped to compare as (q, k), or (q, k, P, R) where many-valued."""
    x, y = column_of(tile.q, a), column_of(tile.k, b)
    if not y.is_floating_point():
        y = y.masked_fill(y == -1, UNKNOWN)  # so that unknown equals nothing, at no cost per pair
    y = y if tile.k.private else y[None]
    if x.ndim == 1 and y.ndim == 2:
        return x[:, None], y
    x = x[:, None, :, None] if x.ndim == 2 else x[:, None, None, None]
    return x, (y[:, :, None, :] if y.ndim == 3 else y[:, :, None, None])


def _any(hit: Tensor) -> Tensor:
    return hit if hit.ndim == 2 else hit.flatten(2).any(-1)


def column_of(rows: Rows, name: str) -> Tensor:
    """A column of a table; ``self`` numbers each row by its identity. Raises ``ConfigError`` where there is no such column."""
    if name not in rows.meta and not len(rows):
        return rows.z.new_zeros(0)  # a table without rows may not know its columns
    if name == SELF:
        return _number(rows)
    if name not in rows.meta:
        shown = [c for c in offered(rows.meta) if c not in IDENTITY]
        raise ConfigError(
            f"a relation asks for the column {name!r}, which these rows lack"
            f"{did_you_mean(name, [*shown, *IDENTITY])}; name it under meta: in the config"
        )
    return rows.meta[name]


def _number(rows: Rows) -> Tensor:
    """A 53-bit number for each row that depends on its identity alone; -1 where part of that is unknown."""
    parts = [rows.meta[c] for c in IDENTITY]
    number = (keyed_uniform([p.flatten() for p in parts], 1)[:, 0] * 2.0**53).long().view_as(parts[0])
    return number.masked_fill(torch.stack(parts).eq(-1).any(0), -1)


def same(column: str, to: str | None = None) -> Atom:
    """Any value of the anchor's column equals any of the key's; -1 (unknown) equals nothing."""

    def test(tile: Tile) -> Tensor:
        x, y = _sides(tile, column, to or column)
        if x.ndim == 2:
            return x == y
        # value by value, since all (q, k, P, R) comparisons at once would take P R times the memory
        each = (x[..., p, :] == y[..., 0, r : r + 1] for p in range(x.shape[2]) for r in range(y.shape[3]))
        return reduce(torch.logical_or, each, x.new_zeros((1, 1, 1), dtype=torch.bool)).squeeze(-1)

    return Atom(test, joins=(column, to or column))


def near(column: str, distance: float) -> Atom:
    """The two values differ by at most ``distance``, in the column's unit; NaN and -1 of integers are near to nothing."""

    def test(tile: Tile) -> Tensor:
        x, y = _sides(tile, column, column)
        known = x == x if x.is_floating_point() else x != -1
        return _any(((x - y).abs() <= distance) & known)

    return Atom(test)


def _itself(tile: Tile) -> Tensor:
    return reduce(torch.logical_and, (same(c)(tile) for c in IDENTITY))


itself = Atom(_itself, joins=(SELF, SELF))
"""The two are the same row."""


def of_key(column: str, wanted: Callable[[Tile], list[int]]) -> Atom:
    """The key's column is one of the wanted numbers."""

    def test(tile: Tile) -> Tensor:
        y = column_of(tile.k, column)
        hit = torch.zeros_like(y, dtype=torch.bool)
        for number in wanted(tile):
            hit |= y == number
        return hit if tile.k.private else hit[None]

    return Atom(test, reads=column)


def views_like(tile: Tile, glob: str) -> list[int]:
    """The numbers of the views that fit a glob. Raises ``ConfigError`` where none does."""
    found = [ident(n) for n in tile.names if matches(n, [glob])]
    if not found:
        raise ConfigError(f"view({glob}): no view is like that; there is {', '.join(sorted(tile.names))}")
    return found


def _found(tile: Tile) -> Tensor:
    if tile.positive is None:
        raise ConfigError("'positive' speaks of the positives that are being defined here; use it in denominator: only")
    return tile.positive


found = Atom(_found)
"""The key is one of the anchor's positives. Raises ``ConfigError`` where these are being found."""


def _every(tile: Tile) -> Tensor:
    return torch.ones(1, 1, dtype=torch.bool, device=tile.q.z.device)


every = Atom(_every, always=True)
"""Every pair."""
