"""Which modalities training brought together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, cast

from contrapose.methods.method import Method
from contrapose.methods.term import BoundTerm
from contrapose.sources.base import Source
from contrapose.types import matches

if TYPE_CHECKING:
    from contrapose.engine.run import Run


def joined(run: Run) -> list[set[str]]:
    """For each term of the method, the modalities whose views it reads, through sources too."""
    terms = cast(Iterable[BoundTerm], run.method.terms.values())
    return [_read(run.method, term.refs, run.parts.plan.names) for term in terms]


def apart(a: str, b: str, terms: Iterable[set[str]]) -> bool:
    """Whether no term reads both."""
    return not any({a, b} <= read for read in terms)


def _read(method: Method, refs: Iterable[str], views: Mapping[str, str]) -> set[str]:
    """The modalities behind references ``name[.tap][/view glob]`` to branches and sources; ``views``: modality by name."""
    found: set[str] = set()
    seen: set[str] = set()
    rest = list(refs)
    while rest:
        table, _, glob = rest.pop().partition("/")
        name = table.partition(".")[0]
        if name in method.sources and name not in seen:
            seen.add(name)
            rest += cast(Source, method.sources[name]).refs
        elif name in method.towers.branches:
            own = method.towers.branches[name].views
            found |= {m for view, m in views.items() if matches(view, own) and (not glob or matches(view, (glob,)))}
    return found
