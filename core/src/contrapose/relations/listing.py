"""Which pairs of two tables are not like nearly all others, found by joining columns instead of asking pair by pair."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise, product

import torch
from torch import Tensor

from contrapose.relations.atoms import Atom, found
from contrapose.relations.predicate import Predicate, Tile, atoms_of, column_of, known
from contrapose.types import Region, Rows

PER_ROW = 16
"""A list has at most so many pairs a row of either table: with more, a matrix of the tile is the better list."""

RUNS = 8
"""A column divides a table where it has at most so many runs of equal values, as ``origin`` and ``view`` have."""

Groups = tuple[Tensor, Tensor]
Columns = tuple[str, str]
Weighted = Mapping[Predicate, float | str]


def listing(
    positives: Weighted, denominator: Weighted, q: Rows, k: Rows, names: frozenset[str]
) -> tuple[list[Region], Tensor, Tensor, Groups | None] | None:
    """Rectangles in which all pairs but the listed have one weight in the denominator, and are positives at most by group.

    The pairs ``i``, ``j`` (P,) are those that some equality of the predicates holds for, so that off the list every such atom
    is false. Equalities that hold for too many pairs are settled rectangle by rectangle where their columns don't change within
    one, and tests of the keys alone for each kind of key. One equality that isn't may decide who is positive, as a label does:
    it makes groups. What isn't known after that leaves no list, and gives None.
    """
    nothing = torch.zeros(0, dtype=torch.int64, device=q.z.device)
    if not len(q) or not len(k):
        return [], nothing, nothing, None
    positives, denominator = (
        {p: w for p, w in side.items() if isinstance(w, str) or w > 0} for side in (positives, denominator)
    )
    atoms = [a for p in (*positives, *denominator) for a in atoms_of(p.test)]
    joins = {a.joins: agreeing(q, k, a.joins) for a in atoms if a.joins is not None}
    dense = [columns for columns, pairs in joins.items() if pairs is None]
    rows = _Divided(q, [a for a, _ in dense])
    keys = _Divided(k, [b for _, b in dense] + [a.reads for a in atoms if a.reads])
    alike = [c for c in dense if c[0] not in rows.by or c[1] not in keys.by]
    narrow = [c for c in alike if column_of(q, c[0]).ndim == column_of(k, c[1]).ndim == 1]
    by = narrow[0] if len(alike) == 1 and narrow else None

    regions = []
    for i, j in product(rows.runs, keys.runs):
        kinds = _kinds(k, j, {a.reads for a in atoms if a.reads and a.reads not in keys.by})
        made = []
        for kind in kinds:
            at = int(kind[0])
            first = Tile(q.take(slice(i.start, i.start + 1)), k.take(slice(at, at + 1)), names)
            made.append(_region(i, j, _Settled(first, joins, rows, keys, by), positives, denominator))
        region = _merged(made, kinds)
        if region is None:
            return None
        regions.append(region)
    codes = [i * len(k) + j for i, j in (pairs for pairs in joins.values() if pairs is not None)]
    code = torch.cat(codes).unique() if codes else nothing
    groups = grouped(q, k, by) if by is not None and any(r.pos for r in regions) else None
    return regions, code.div(len(k), rounding_mode="floor"), code % len(k), groups


@dataclass
class _Settled:
    """What is known of an atom over the unlisted pairs of a rectangle, ``first`` being one of them.

    ``group``: whether the pairs are of one group, None where it isn't said. ``by`` is the equality that makes the groups.
    """

    first: Tile
    joins: Mapping[Columns, tuple[Tensor, Tensor] | None]
    rows: _Divided
    keys: _Divided
    by: Columns | None
    group: bool | None = None
    positive: bool | None = False

    def __call__(self, atom: Atom) -> bool | None:
        if atom.always is not None:
            return atom.always
        if atom is found:
            return self.positive
        if atom.joins is not None and self.joins[atom.joins] is not None:
            return False
        if atom.joins is not None and atom.joins == self.by:
            return self.group
        if atom.joins is None:
            return None if atom.reads is None else bool(atom(self.first))
        a, b = atom.joins
        return bool(atom(self.first)) if a in self.rows.by and b in self.keys.by else None


def _region(i: slice, j: slice, of: _Settled, positives: Weighted, denominator: Weighted) -> Region | None:
    pos = den = 0.0
    for predicate, weight in positives.items():
        if known(predicate.test, of) is False:
            continue
        within, across = (known(predicate.test, replace(of, group=group)) for group in (True, False))
        if within is not True or across is not False or isinstance(weight, str):
            return None
        pos += weight
    of = replace(of, positive=None if pos else False)
    for predicate, weight in denominator.items():
        holds = known(predicate.test, of)
        if holds is None or (holds and isinstance(weight, str)):
            return None
        den += float(weight) if holds else 0.0
    return Region(i, j, den, pos)


def _kinds(k: Rows, j: slice, columns: Iterable[str]) -> list[Tensor]:
    """The keys ``j`` by what they have in the columns; none where that is of too many kinds."""
    known = [column_of(k, name)[j] for name in columns]
    if not known:
        return [torch.tensor([j.start])]
    which = torch.stack(known, 1).unique(dim=0, return_inverse=True)[1]
    count = int(which.max()) + 1
    return [j.start + (which == n).nonzero()[:, 0] for n in range(count)] if count <= RUNS else []


def _merged(made: Sequence[Region | None], kinds: Sequence[Tensor]) -> Region | None:
    """The regions of several kinds of keys as one, if all of the kinds that count are alike."""
    regions = [r for r in made if r is not None]
    if not regions or len(regions) < len(made) or len({r.pos for r in regions}) > 1:
        return None
    best = max(regions, key=lambda r: r.den)
    if not {r.den for r in regions} <= {0.0, best.den}:
        return None
    out = [kind for r, kind in zip(regions, kinds, strict=True) if r.den < best.den]
    return replace(best, without=torch.cat(out).sort().values) if out else best


def grouped(q: Rows, k: Rows, columns: Columns) -> Groups:
    """Numbers of the values that two columns have, (Q,) and (K,), -1 where unknown."""
    x, y = column_of(q, columns[0]), column_of(k, columns[1])
    both = torch.cat([x, y])
    there = both == both if both.is_floating_point() else both != -1
    number = both.unique(return_inverse=True)[1].masked_fill(~there, -1)
    return number[: len(x)], number[len(x) :]


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


def agreeing(q: Rows, k: Rows, columns: Columns) -> tuple[Tensor, Tensor] | None:
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
