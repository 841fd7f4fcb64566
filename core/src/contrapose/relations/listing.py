"""Which pairs of two tables are not like nearly all others, found by joining columns instead of asking pair by pair."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import pairwise, product

import torch
from torch import Tensor

from contrapose.relations.atoms import Atom, found
from contrapose.relations.predicate import Predicate, Tile, atoms_of, column_of, known
from contrapose.types import Rows

PER_ROW = 16
"""A list has at most so many pairs a row of either table: with more, a matrix of the tile is the better list."""

RUNS = 8
"""A column divides a table where it has at most so many runs of equal values, as ``origin`` and ``view`` have."""

Region = tuple[slice, slice, float]
Weighted = Mapping[Predicate, float | str]


def listing(
    positives: Weighted, denominator: Weighted, q: Rows, k: Rows, names: frozenset[str]
) -> tuple[list[Region], Tensor, Tensor] | None:
    """Rectangles in which all pairs but the listed have no positive weight and one weight in the denominator.

    The pairs ``i``, ``j`` (P,) are those that some equality of the predicates holds for, so that off the list every such atom
    is false. Equalities that hold for too many pairs, and tests of the keys alone, are settled rectangle by rectangle where
    their columns don't change within one. What isn't known after that leaves no list, and gives None.
    """
    nothing = torch.zeros(0, dtype=torch.int64, device=q.z.device)
    if not len(q) or not len(k):
        return [], nothing, nothing
    positives, denominator = (
        {p: w for p, w in side.items() if isinstance(w, str) or w > 0} for side in (positives, denominator)
    )
    atoms = [a for p in (*positives, *denominator) for a in atoms_of(p.test)]
    joins = {a.joins: agreeing(q, k, a.joins) for a in atoms if a.joins is not None}
    rows = _Divided(q, [a for (a, _), pairs in joins.items() if pairs is None])
    keys = _Divided(k, [b for (_, b), pairs in joins.items() if pairs is None] + [a.reads for a in atoms if a.reads])

    def settled(atom: Atom, tile: Tile) -> bool | None:
        if atom.always is not None or atom is found:
            return bool(atom.always)
        if atom.joins is not None and joins[atom.joins] is not None:
            return False
        a, b = atom.joins or (None, atom.reads)
        return bool(atom(tile)) if b in keys.by and (a is None or a in rows.by) else None

    regions = []
    for i, j in product(rows.runs, keys.runs):
        first = Tile(q.take(slice(i.start, i.start + 1)), k.take(slice(j.start, j.start + 1)), names)

        def of(atom: Atom, first: Tile = first) -> bool | None:
            return settled(atom, first)

        if any(known(p.test, of) is not False for p in positives):
            return None
        rest = 0.0
        for predicate, weight in denominator.items():
            holds = known(predicate.test, of)
            if holds is None or (holds and isinstance(weight, str)):
                return None
            rest += float(weight) if holds else 0.0
        regions.append((i, j, rest))
    codes = [i * len(k) + j for i, j in (pairs for pairs in joins.values() if pairs is not None)]
    code = torch.cat(codes).unique() if codes else nothing
    return regions, code.div(len(k), rounding_mode="floor"), code % len(k)


class _Divided:
    """A table cut wherever one of the columns changes; ``by`` are those of them that change seldom enough."""

    def __init__(self, rows: Rows, columns: Iterable[str]) -> None:
        self.by, cuts = set(), {0, len(rows)}
        for name in {*columns}:
            column = column_of(rows, name)
            if column.ndim > 1:
                continue
            changes = (column[1:] != column[:-1]).nonzero()[:, 0]
            if len(changes) < RUNS:
                self.by.add(name)
                cuts.update((changes + 1).tolist())
        at = sorted(cuts)
        self.runs = [slice(a, b) for a, b in pairwise(at)]


def agreeing(q: Rows, k: Rows, columns: tuple[str, str]) -> tuple[Tensor, Tensor] | None:
    """All pairs ``i``, ``j`` (P,) whose columns have a value in common, maybe more than once; None where there are many.

    Unknown values (-1 of integers, NaN) are common to none.
    """
    x, i = _values(column_of(q, columns[0]))
    y, j = _values(column_of(k, columns[1]))
    dtype = torch.promote_types(x.dtype, y.dtype)
    y, order = y.to(dtype).sort()
    x, j = x.to(dtype), j[order]
    low = torch.searchsorted(y, x)
    many = torch.searchsorted(y, x, right=True) - low
    total = int(many.sum())
    if total > PER_ROW * (len(q) + len(k)):
        return None
    before = (many.cumsum(0) - many - low).repeat_interleave(many)
    return i.repeat_interleave(many), j[torch.arange(total, device=i.device) - before]


def _values(column: Tensor) -> tuple[Tensor, Tensor]:
    """The known values of a column, one- or many-valued, each with its row."""
    row = torch.arange(len(column), device=column.device)
    if column.ndim == 2:
        row, column = row.repeat_interleave(column.shape[1]), column.flatten()
    there = column == column if column.is_floating_point() else column != -1
    return column[there], row[there]
