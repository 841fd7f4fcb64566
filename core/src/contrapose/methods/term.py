"""Terms: this query against these keys, under this relation, with this loss."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from torch import nn

from contrapose.clock import Clock, Schedule, check_schedule
from contrapose.config import build
from contrapose.errors import ConfigError, did_you_mean
from contrapose.losses.head import HeadLoss
from contrapose.losses.pair import PairLoss
from contrapose.losses.sets import SetLoss
from contrapose.losses.similarity import SIMILARITIES, Similarity
from contrapose.methods.temperature import Bias, Temperature
from contrapose.relations.predicate import Predicate, parse
from contrapose.relations.relation import Annotator, Assigner, Relation

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


@dataclass(frozen=True)
class Term:
    """This query against these keys, under this relation, with this loss, this temperature and this weight.

    Args:
        query: the anchors' table, or several.
        keys: tables or ``Key``; none for losses without pairs.
        positives: a predicate, ``{predicate: weight}``, ``{assign: node, link: predicate}``, or an ``Assigner``.
        denominator: a predicate or ``{predicate: weight}``.
        annotate: ``{column: node}``, columns computed on the anchors first.
        attract: node of what weighs the anchors' positive part.
        loss: node or object: a pair, set or head loss.
        tau: number, schedule, ``{learn: tau, max_scale: s}``, or the name of one of the method's temperatures.
        bias: number or ``{learn: b}``, added to the logits.
        weight: of the term in the sum, may be a schedule.
        normalize: make the vectors of unit length.
        similarity: ``dot``, ``euclidean``, ``volume`` or a callable.
    """

    query: str | tuple[str, ...]
    keys: tuple[Key | str, ...] = ()
    positives: Any = "same(sample) and not self"
    denominator: Any = "not self"
    annotate: Mapping[str, Any] | None = None
    attract: Any = None
    loss: Any = "nce"
    tau: Any = 0.1
    bias: Any = None
    weight: Schedule = 1.0
    normalize: bool = True
    similarity: str | Similarity = "dot"


class BoundTerm(nn.Module):
    """A term whose nodes are built."""

    def __init__(self, name: str, term: Term, temperatures: Mapping[str, Temperature], path: Path) -> None:
        super().__init__()
        self.name, self.weight, self.normalize = name, term.weight, term.normalize
        self.query = (term.query,) if isinstance(term.query, str) else tuple(term.query)
        keys = (term.keys,) if isinstance(term.keys, (str, Key, Mapping)) else term.keys
        self.keys = tuple(_key(k, (*path, "keys", n)) for n, k in enumerate(keys))
        self.loss = build("loss", term.loss, (*path, "loss"))
        if not isinstance(self.loss, (PairLoss, SetLoss, HeadLoss)):
            raise ConfigError(f"{term.loss!r} is no pair, set or head loss", (*path, "loss"))
        if isinstance(self.loss, PairLoss) and not self.keys:
            raise ConfigError("a loss over pairs needs keys:", (*path, "keys"))
        self.similarity = _similarity(term.similarity, (*path, "similarity"))
        self.relation = _relation(term, path)
        self._tau = self._temperature(term.tau, temperatures, (*path, "tau"))
        learnt = isinstance(term.bias, Mapping)
        self.bias = build_args(Bias, term.bias, (*path, "bias")) if learnt else None
        self._bias = None if learnt else term.bias

    def _temperature(self, tau: Any, shared: Mapping[str, Temperature], path: Path) -> Callable[[Clock], Any]:
        if isinstance(tau, str):
            if tau not in shared:
                raise ConfigError(f"there is no temperature {tau!r}{did_you_mean(tau, shared)}", path)
            temperature = shared[tau]
            return lambda clock: temperature()
        if isinstance(tau, Mapping) and "learn" in tau:
            self.temperature = build_args(Temperature, tau, path)
            return lambda clock: self.temperature()
        if isinstance(tau, Mapping):
            check_schedule(tau)
        elif not tau > 0:
            raise ConfigError(f"a temperature is positive, not {tau}", path)
        return lambda clock: 1.0 / clock.at(tau)

    def scale(self, clock: Clock) -> Any:
        """1/tau now."""
        return self._tau(clock)

    def offset(self) -> Any:
        """The bias of the logits, or None."""
        return self._bias if self.bias is None else self.bias()

    @property
    def refs(self) -> tuple[str, ...]:
        """All tables that the term reads."""
        own = [*self.query, *(k.rows for k in self.keys), *(k.query for k in self.keys if k.query)]
        return (*own, *self.relation.refs)


def from_node(node: Any, path: Path) -> Term:
    """A term from a config's mapping."""
    return node if isinstance(node, Term) else build_args(Term, node, path)


def build_args(cls: Callable[..., Any], node: Any, path: Path) -> Any:
    """``cls(**node)`` with unknown and missing keys named. For our own records, whose values are checked where they are used."""
    names = [f.name for f in fields(cls)] if hasattr(cls, "__dataclass_fields__") else [*cls.__init__.__annotations__]  # type: ignore[arg-type]
    if not isinstance(node, Mapping):
        raise ConfigError(f"expected keys among {', '.join(names)}; got {node!r}", path)
    for key in node:
        if key not in names:
            raise ConfigError(f"unknown key {key!r}{did_you_mean(str(key), names)}", (*path, key))
    try:
        return cls(**node)
    except ConfigError as e:
        raise ConfigError(e.message, (*path, *e.path)) from None
    except TypeError as e:
        raise ConfigError(str(e).rpartition("__init__() ")[2], path) from None


def _key(node: Any, path: Path) -> Key:
    if isinstance(node, str):
        return Key(node)
    return node if isinstance(node, Key) else build_args(Key, node, path)


def _similarity(node: str | Similarity, path: Path) -> Similarity:
    if callable(node):
        return node
    if node not in SIMILARITIES:
        raise ConfigError(f"unknown similarity {node!r}{did_you_mean(node, SIMILARITIES)}", path)
    return SIMILARITIES[node]


def _relation(term: Term, path: Path) -> Relation:
    positives: Mapping[Predicate, float] | Assigner
    if isinstance(term.positives, Assigner):
        positives = term.positives
    elif isinstance(term.positives, Mapping) and "assign" in term.positives:
        link = term.positives.get("link", "same(sample) and not same(view)")
        positives = build("relation", term.positives["assign"], (*path, "positives", "assign"), link=link)
    else:
        positives = _predicates(term.positives, (*path, "positives"))
    annotate: dict[str, Annotator] = {
        c: build("relation", n, (*path, "annotate", c)) for c, n in (term.annotate or {}).items()
    }
    attract = None if term.attract is None else build("relation", term.attract, (*path, "attract"))
    return Relation(positives, _predicates(term.denominator, (*path, "denominator")), annotate, attract)


def _predicates(node: Any, path: Path) -> dict[Predicate, float]:
    items = {node: 1.0} if isinstance(node, str) else node
    if not isinstance(items, Mapping):
        raise ConfigError(f"expected a predicate or predicates with weights; got {node!r}", path)
    try:
        return {parse(text): float(weight) for text, weight in items.items()}
    except ConfigError as e:
        raise ConfigError(e.message, path) from None
