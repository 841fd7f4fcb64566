"""What a method is, read off its data: when its two sides learn, who is positive, who negative, and by which loss.

Light: it reads the mapping alone, builds nothing and imports no torch, so that listing all methods costs nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from contrapose.config.yaml import parse
from contrapose.errors import ContraposeError
from contrapose.methods.negatives import MADE, column_told, negatives
from contrapose.methods.nodes import Data, behind, listed, owner, table, use
from contrapose.plugins import Offer, registry

QUADRANTS = tuple(f"{when}, {how}" for when in ("synchronous", "asynchronous") for how in ("symmetric", "asymmetric"))
"""The literature's four patterns of how the two sides of a pair learn."""

STORED = ("queue", "bank")
"""Sources that keep embeddings of past steps."""


@dataclass(frozen=True)
class Facts:
    """A method in words.

    ``quadrant`` is one of ``QUADRANTS``, ``positives`` and ``loss`` are what its terms say, ``negatives`` the kinds of tables
    whose rows may be in a denominator without being a positive, and ``components`` all that it uses, as (kind, name).
    """

    quadrant: str
    positives: tuple[str, ...]
    negatives: tuple[str, ...]
    loss: tuple[str, ...]
    components: frozenset[tuple[str, str]]


def described(offer: Offer) -> Facts | None:
    """What an offered method is, one with arguments under its example; None where it can't be told."""
    try:
        data = registry().load("method", offer.name)
        if callable(data):
            data = data(**(parse(f"{{{offer.spec.example}}}", offer.name).data if offer.spec.example else {}))
        return describe(cast(Data, data))
    except (ContraposeError, TypeError, KeyError, AttributeError):  # a plugin's that is wrong must not hide the others
        return None


def describe(data: Data) -> Facts:
    """What a method's mapping says of it."""
    terms = [*data["terms"].values()]
    return Facts(
        quadrant(data),
        _distinct(said for term in terms if (said := _positives(data, term))) or ("none",),
        _distinct(kind for term in terms for kind in negatives(data, term)) or ("none",),
        _distinct(_node(term.get("loss", "nce")) for term in terms),
        frozenset(_components(data)),
    )


def quadrant(data: Data) -> str:
    """Asynchronous, where keys come from a momentum twin or from past steps; asymmetric, where anchors and keys take other ways.

    The ways differ in a predictor, in the projector, or by a stopped gradient, between branches of one encoder.
    """
    late = any(b.get("weights") == "ema" for b in data["branches"].values())
    lopsided = False
    for term in data["terms"].values():
        query, keys = listed(term["query"]), [table(k) for k in listed(term.get("keys", ()))]
        sides = behind(data, query), behind(data, keys)
        late |= any(use(data["sources"][name]) in STORED for name in sides[1] if name in data.get("sources", {}))
        ways = [_ways(data, side) for side in sides]
        lopsided |= any(ways[0][encoder] != ways[1][encoder] for encoder in ways[0].keys() & ways[1].keys())
    return f"{'asynchronous' if late else 'synchronous'}, {'asymmetric' if lopsided else 'symmetric'}"


def _ways(data: Data, names: list[str]) -> dict[str, set[tuple[Any, ...]]]:
    """By encoder, how the branches among ``names`` get from it to their rows."""
    found: dict[str, set[tuple[Any, ...]]] = {}
    branches = data["branches"]
    for name in names:
        if name not in branches:
            continue
        own, line = branches[name], [name]
        while branches[line[-1]].get("of") is not None:
            line.append(branches[line[-1]]["of"])
        first = branches[line[-1]]
        encoder = first.get("encoder") or str(listed(first["views"])[0]).rpartition("/")[0]
        projector = next((b for b in line if branches[b].get("projector") is not None), None)
        stopped = own.get("weights", "online") == "online" and own.get("grad", True) is False
        found.setdefault(encoder, set()).add((projector, str(own.get("predictor")), own.get("fold"), stopped))
    return found


def _positives(data: Data, term: Data) -> str | None:
    said, query = term.get("positives"), listed(term["query"])
    if not term.get("keys"):
        if column := column_told(term):
            return f"same({column})"
        joined = len(query) > 1 or use(data.get("sources", {}).get(owner(query[0]))) in MADE
        return "same(sample)" if joined else None
    if said is None:
        return "same(sample) and not self"
    if isinstance(said, Mapping) and "assign" in said:
        return f"{use(said['assign'])} of {said['assign']['of']}"
    return " or ".join(said) if isinstance(said, Mapping) else str(said)


def _components(data: Data) -> Iterator[tuple[str, str]]:
    for branch in data["branches"].values():
        for head in ("projector", "predictor"):
            if branch.get(head) is not None:
                yield "head", use(branch[head])
    for kind, section in (("view", "views"), ("source", "sources")):
        for node in (data.get(section) or {}).values():
            yield kind, use(node)
    for term in data["terms"].values():
        yield "loss", use(term.get("loss", "nce"))
        if "similarity" in term:
            yield "similarity", term["similarity"]
        positives = term.get("positives")
        assigned = positives.get("assign") if isinstance(positives, Mapping) else None
        for node in (assigned, term.get("attract"), *(term.get("annotate") or {}).values()):
            if node is not None:
                yield "relation", use(node)


def _node(node: Any) -> str:
    """A node in one line: its name and choices, without the numbers."""
    given = node.items() if isinstance(node, Mapping) else ()
    said = {k: v["use"] if isinstance(v, Mapping) and "use" in v else v for k, v in given if k != "use"}
    said = {k: str(v).lower() if isinstance(v, bool) else v for k, v in said.items()}
    choices = ", ".join(f"{k}: {v}" for k, v in said.items() if isinstance(v, str))
    return f"{use(node)} ({choices})" if choices else use(node)


def _distinct(said: Iterator[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(said))
