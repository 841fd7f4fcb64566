"""Terms: this query against these keys, under this relation, with this loss."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from contrapose.branches.named import Named
from contrapose.clock import Clock, check_schedule
from contrapose.config import bind, build, check, parameters
from contrapose.errors import ConfigError, did_you_mean
from contrapose.losses.head import HeadLoss
from contrapose.losses.pair import PairLoss
from contrapose.losses.sets import SetLoss
from contrapose.losses.similarity import SIMILARITIES, Similarity
from contrapose.methods.temperature import Bias, Temperature
from contrapose.relations.predicate import Predicate, parse
from contrapose.relations.relation import Annotator, Assigner, Relation, Weigher, Weight

Path = tuple[str | int, ...]


@dataclass(frozen=True)
class Key:
    """One block of keys.

    Args:
        rows: the table (``queue``, ``key``, ``online.pooled/a``).
        query: the anchors' table for this block, row for row the term's query; by default that.
        tau: temperature of this block; by default the term's.
        normalize: make both sides unit vectors; by default as the term does.
    """

    rows: str
    query: str | None = None
    tau: float | None = None
    normalize: bool | None = None

    def __post_init__(self) -> None:
        if self.tau is not None and not self.tau > 0:
            raise ConfigError(f"a temperature is positive, not {self.tau}", ("tau",))


@dataclass(frozen=True)
class Term:
    """This query against these keys, under this relation, with this loss, this temperature and this weight.

    Args:
        query: the anchors' table, or several.
        keys: tables or ``Key``; none for losses without pairs.
        positives: a predicate, ``{predicate: weight}``, ``{assign: node, link: predicate}``, or an ``Assigner``. A weight is a
            number, or the name of a column of the anchors.
        denominator: a predicate or ``{predicate: weight}``.
        annotate: ``{column: node}``, columns computed on the anchors first.
        attract: node of what weighs the anchors' positive part.
        loss: node or object: a pair, set or head loss.
        tau: number, schedule, ``{learn: tau, max_scale: s}``, or the name of one of the method's temperatures.
        bias: number or ``{learn: b}``, added to the logits.
        weight: of the term in the sum: number, schedule, or ``{share: group}``, learnt with the other terms of that group.
        normalize: make the vectors of unit length.
        similarity: ``dot``, ``euclidean``, ``volume`` or a callable.
    """

    query: str | list[str] | tuple[str, ...]
    keys: str | list[Any] | tuple[Any, ...] = ()
    positives: Any = "same(sample) and not self"
    denominator: Any = "not self"
    annotate: Mapping[str, Any] | None = None
    attract: Any = None
    loss: Any = "nce"
    tau: Any = 0.1
    bias: Any = None
    weight: float | dict[str, Any] = 1.0
    normalize: bool = True
    similarity: Any = "dot"

    def __post_init__(self) -> None:
        if not self.query:
            raise ConfigError("a term needs a query", ("query",))
        if isinstance(self.weight, Mapping) and not isinstance(self.weight.get("share"), str):
            check_schedule(self.weight, ("weight",))


class BoundTerm(nn.Module):
    """A term whose nodes are built.

    Its method says what it ``joins``: the branches that it is made of, where these are of several encoders; and whether the method
    has ``several``.
    """

    temperature: Temperature | None
    bias: Bias | None
    joins: tuple[str, ...] = ()
    several: bool = False

    def __init__(
        self, name: str, term: Term, temperatures: Mapping[str, Temperature], facts: Mapping[str, Any], path: Path
    ) -> None:
        super().__init__()
        self.temperature = self.bias = None
        self.name, self.weight, self.normalize, self.path = name, term.weight, term.normalize, path
        self.query = (term.query,) if isinstance(term.query, str) else tuple(term.query)
        keys = term.keys if isinstance(term.keys, list | tuple) else (term.keys,)
        self.keys = tuple(_key(k, (*path, "keys", n)) for n, k in enumerate(keys))
        self.loss = build("loss", term.loss, (*path, "loss"), **facts)
        if not isinstance(self.loss, (PairLoss, SetLoss, HeadLoss)):
            raise ConfigError(f"{term.loss!r} is no pair, set or head loss", (*path, "loss"))
        if isinstance(self.loss, PairLoss) and not self.keys:
            raise ConfigError("a loss over pairs needs keys", path)
        if isinstance(self.loss, SetLoss) and len(self.query) != self.loss.tables:
            raise ConfigError(
                f"this loss compares {self.loss.tables} tables, e.g. [online/a, online/b]", (*path, "query")
            )
        self.similarity = _similarity(term.similarity, (*path, "similarity"))
        self.relation = _relation(term, path)
        if self.relation.assigner is not None and len(self.keys) != 1:
            raise ConfigError("positives by assignment are over one table of keys", (*path, "keys"))
        self.tau = self._checked_tau(term.tau, temperatures, (*path, "tau"))
        if isinstance(term.bias, Mapping):
            self.bias = build_args(Bias, term.bias, (*path, "bias"))
        self.fixed_bias: float | None = (
            None if self.bias is not None else check(term.bias, float | None, (*path, "bias"))
        )

    def _checked_tau(self, tau: Any, shared: Mapping[str, Temperature], path: Path) -> Any:
        if isinstance(tau, str) and tau not in shared:
            raise ConfigError(f"there is no temperature {tau!r}{did_you_mean(tau, shared)}", path)
        if isinstance(tau, Mapping):
            if "learn" in tau:
                self.temperature = build_args(Temperature, tau, path)
            else:
                check_schedule(tau, path)
        elif not isinstance(tau, str) and not check(tau, float, path) > 0:
            raise ConfigError(f"a temperature is positive, not {tau}", path)
        return tau

    def scale(self, clock: Clock, shared: Mapping[str, Temperature]) -> Any:
        """1/tau now; ``shared`` are the method's temperatures."""
        if self.temperature is not None:
            return self.temperature()
        return shared[self.tau]() if isinstance(self.tau, str) else 1.0 / clock.at(self.tau)

    def weigh(self, clock: Clock, shares: Named) -> Any:
        """The term's weight now; ``shares`` are the method's learnt ones."""
        if isinstance(self.weight, Mapping) and "share" in self.weight:
            return shares[self.weight["share"]](self.name)
        return clock.at(self.weight)

    def offset(self) -> Any:
        """The bias of the logits, or None."""
        return self.fixed_bias if self.bias is None else self.bias()

    @property
    def refs(self) -> tuple[str, ...]:
        """All tables that the term reads."""
        own = [*self.query, *(k.rows for k in self.keys), *(k.query for k in self.keys if k.query)]
        more = self.loss.refs if isinstance(self.loss, HeadLoss) else ()
        return (*own, *self.relation.refs, *more)


def from_node(node: Any, path: Path) -> Term:
    """A term from a config's mapping."""
    return node if isinstance(node, Term) else build_args(Term, node, path)


def build_args(cls: Callable[..., Any], node: Any, path: Path) -> Any:
    """``cls(**node)``, its keys and types checked as a component's arguments are."""
    if not isinstance(node, Mapping):
        raise ConfigError(f"expected {', '.join(p.name for p in parameters(cls))} as keys, got {node!r}", path)
    bound = bind(cls, node, path, f"a {getattr(cls, '__name__', 'node').lower()}")
    try:
        return cls(**bound)
    except ConfigError as e:
        raise ConfigError(e.message, (*path, *e.path)) from None


def _key(node: Any, path: Path) -> Key:
    if isinstance(node, str):
        return Key(node)
    return node if isinstance(node, Key) else build_args(Key, node, path)


def _similarity(node: Any, path: Path) -> Similarity:
    if callable(node):
        return node
    if node not in SIMILARITIES:
        raise ConfigError(f"unknown similarity {node!r}{did_you_mean(str(node), SIMILARITIES)}", path)
    return SIMILARITIES[node]


def _relation(term: Term, path: Path) -> Relation:
    positives: Mapping[Predicate, Weight] | Assigner
    if isinstance(term.positives, Assigner):
        positives = term.positives
    elif isinstance(term.positives, Mapping) and "assign" in term.positives:
        where = (*path, "positives", "assign")
        link = term.positives.get("link", "same(sample) and not same(view)")
        positives = _made(Assigner, build("relation", term.positives["assign"], where, link=link), where)
    else:
        positives = _predicates(term.positives, (*path, "positives"))
    annotate = {}
    for column, node in check(term.annotate or {}, dict[str, Any], (*path, "annotate")).items():
        where = (*path, "annotate", column)
        annotate[column] = _made(Annotator, build("relation", node, where), where)
    where = (*path, "attract")
    attract = None if term.attract is None else _made(Weigher, build("relation", term.attract, where), where)
    return Relation(positives, _predicates(term.denominator, (*path, "denominator")), annotate, attract)


def _made(kind: Any, made: Any, path: Path) -> Any:
    if not isinstance(made, kind):
        raise ConfigError(f"{type(made).__name__} is no {kind.__name__.lower()}", path)
    return made


def _predicates(node: Any, path: Path) -> dict[Predicate, Weight]:
    items = {node: 1.0} if isinstance(node, str) else node
    if not isinstance(items, Mapping) or not items:
        raise ConfigError(f"expected a predicate, or predicates with weights; got {node!r}", path)
    found = {}
    for text, weight in items.items():
        if not isinstance(weight, str) and check(weight, float, (*path, text)) < 0:
            raise ConfigError(f"a weight is at least 0, not {weight}", (*path, text))
        try:
            found[parse(str(text))] = weight if isinstance(weight, str) else float(weight)
        except ConfigError as e:
            raise ConfigError(e.message, path) from None
    return found
