"""A relation: who is positive for whom, who counts in the denominator, and how much each anchor weighs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Literal, Protocol

import torch
from torch import Tensor, nn

from contrapose.clock import Clock
from contrapose.relations.listing import listing
from contrapose.relations.predicate import Predicate, Tile, column_of
from contrapose.types import Listed, Pairs, Rows


class Step(Protocol):
    """What a relation may ask of the step's outputs."""

    clock: Clock
    names: frozenset[str]

    def rows(self, ref: str, scope: Literal["local", "global"] = "local") -> Rows:
        """A table by reference."""

    def mine(self, ref: str) -> slice:
        """Where this rank's rows are in the global table."""

    def prepared(self, rows: Rows, normalize: bool = True) -> Tensor:
        """A table's vectors as a term would take them: fp32, of unit length."""


Weight = float | str
"""Of the pairs that a predicate holds for: a number, or a column of the anchors."""


@dataclass
class Soft:
    """Soft positives: the anchors take the targets (T, K) over the term's keys from the rows that they are linked to."""

    targets: Tensor
    rows: Rows
    link: Predicate


class Assigner(nn.Module, ABC):
    """Base of what computes soft positives (Sinkhorn, a teacher's softmax). ``refs``: the tables it reads."""

    refs: tuple[str, ...] = ()
    link: Predicate

    @abstractmethod
    def assign(self, out: Step) -> Soft | None:
        """The targets now, without gradient, or None while there are none."""

    def commit(self, out: Step) -> None:
        """Called once per optimiser step, after it."""


class Annotator(nn.Module, ABC):
    """Base of what computes a column of the anchors, (Q,) or many-valued (Q, P): the positions that match."""

    refs: tuple[str, ...] = ()

    @abstractmethod
    def column(self, q: Rows, out: Step) -> Tensor:
        """The column, -1 where nothing is known. ``q`` has the anchors' columns alone; vectors are asked of ``out``."""


class Weigher(nn.Module, ABC):
    """Base of what weighs the positive part of each anchor."""

    refs: tuple[str, ...] = ()

    @abstractmethod
    def weigh(self, q: Rows, out: Step) -> Tensor:
        """The weight (Q,). ``q`` has the anchors' columns alone."""


class Relation(nn.Module):
    """Positives and denominator as predicates with weights, or positives by assignment.

    Args:
        positives: predicates with the weight of the pairs that they hold for, a number or a column of the anchors (the share
            of a mixed sample); where several hold, the weights add up. Or an ``Assigner``.
        denominator: likewise; pairs that none holds for are excluded.
        annotate: columns to compute on the anchors before the predicates are evaluated.
        attract: what weighs the positive part of each anchor.
    """

    def __init__(
        self,
        positives: Mapping[Predicate, Weight] | Assigner,
        denominator: Mapping[Predicate, Weight],
        annotate: Mapping[str, Annotator] | None = None,
        attract: Weigher | None = None,
    ) -> None:
        super().__init__()
        self.assigner = positives if isinstance(positives, Assigner) else None
        self.positives = {} if isinstance(positives, Assigner) else dict(positives)
        self.denominator = dict(denominator)
        self.annotators = dict(annotate or {})
        for name, module in self.annotators.items():
            self.add_module(f"annotate {name}", module)
        self.attract = attract

    @property
    def named(self) -> frozenset[tuple[str, str]]:
        """The origins and branches that its predicates name."""
        return frozenset(name for p in (*self.positives, *self.denominator) for name in p.names)

    @property
    def refs(self) -> tuple[str, ...]:
        """The tables that the relation reads beyond the term's own."""
        parts = [self.assigner, self.attract, *self.annotators.values()]
        return tuple(r for p in parts if p is not None for r in p.refs)

    def plan(self, q: Rows, keys: list[Rows], out: Step) -> PredicatePlan:
        """What is computed is computed here; from then on every tile follows from columns."""
        for name, annotator in self.annotators.items():
            q = q.with_columns(**{name: annotator.column(q, out)})
        attract = self.attract.weigh(q, out) if self.attract is not None else None
        soft = self.assigner.assign(out) if self.assigner is not None else None
        return PredicatePlan(self, q, keys, out.names, soft, attract)

    def commit(self, out: Step) -> None:
        """Called once per optimiser step, after it."""
        if self.assigner is not None:
            self.assigner.commit(out)


class PredicatePlan:
    """A relation bound to the tables of a step."""

    def __init__(
        self,
        relation: Relation,
        q: Rows,
        keys: list[Rows],
        names: frozenset[str],
        soft: Soft | None,
        attract: Tensor | None,
    ) -> None:
        self.relation, self.q, self.keys, self.names, self.soft, self.attract = relation, q, keys, names, soft, attract

    def tile(self, block: int, i: slice, j: slice) -> Pairs:
        """The pairs of anchors ``i`` with keys ``j`` of a block."""
        q, keys = self.q.take(i), self.keys[block]
        k = private_tile(keys, i, j) if keys.private else keys.take(j)
        tile = Tile(q, k, self.names)
        row = None
        if self.relation.assigner is None:
            pos = weights(self.relation.positives, tile, q.z.dtype)
        elif self.soft is None:
            pos = q.z.new_zeros(len(q), _width(k))
        else:
            link = self.soft.link(Tile(q, self.soft.rows, self.names)).to(q.z.dtype)
            pos, row = link @ self.soft.targets[:, j], link.sum(-1)
        den = weights(self.relation.denominator, Tile(q, k, self.names, pos > 0), q.z.dtype)
        return Pairs(pos, den, row, None if self.attract is None else self.attract[i])

    def listed(self, block: int) -> Listed | None:
        """The pairs of a block of which nearly all are alike, or None where the predicates don't say so."""
        q, keys, relation = self.q, self.keys[block], self.relation
        if relation.assigner is not None or keys.private:
            return None
        found = listing(relation.positives, relation.denominator, q, keys, self.names)
        if found is None:
            return None
        regions, i, j, groups = found
        if not len(i):  # a table without rows may not know its columns
            return Listed(regions, i, j, q.z.new_zeros(0), q.z.new_zeros(0), groups)
        a, b = q.bare().take(i), keys.bare().take(j)
        b = Rows(b.z[:, None], {name: c[:, None] for name, c in b.meta.items()}, private=True)
        pos = weights(relation.positives, Tile(a, b, self.names), q.z.dtype)
        den = weights(relation.denominator, Tile(a, b, self.names, pos > 0), q.z.dtype)
        return Listed(regions, i, j, pos[:, 0], den[:, 0], groups)


def weights(predicates: Mapping[Predicate, Weight], tile: Tile, dtype: torch.dtype) -> Tensor:
    """(q, k): the sum of the weights of the predicates that hold."""
    shape = (len(tile.q), _width(tile.k))
    parts = [predicate(tile).expand(shape).to(dtype) for predicate in predicates]
    parts = [_weighed(part, weight, tile.q) for part, weight in zip(parts, predicates.values(), strict=True)]
    return reduce(torch.add, parts) if parts else tile.q.z.new_zeros(shape, dtype=dtype)


def _weighed(part: Tensor, weight: Weight, q: Rows) -> Tensor:
    if isinstance(weight, str):
        share = column_of(q, weight).to(part.dtype).nan_to_num(0.0).clamp_min(0.0)  # what is unknown weighs nothing
        return part * share[:, None]
    return part if weight == 1 else part * weight


def private_tile(keys: Rows, i: slice, j: slice) -> Rows:
    """The keys ``j`` of the anchors ``i``, where each anchor has its own."""
    return Rows(keys.z[i, j], {name: c[i, j] for name, c in keys.meta.items()}, private=True)


def _width(k: Rows) -> int:
    return k.z.shape[1] if k.private else len(k)
