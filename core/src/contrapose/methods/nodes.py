"""Reading a method's mapping: what its nodes and references name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Data = Mapping[str, Any]


def use(node: Any) -> str:
    """The name of a node's component."""
    return str(node["use"]) if isinstance(node, Mapping) else str(node)


def owner(ref: str) -> str:
    """The branch or source of a reference (``online.pooled/a``)."""
    return ref.partition("/")[0].partition(".")[0]


def table(key: Any) -> str:
    """The reference of a term's key."""
    return str(key["rows"]) if isinstance(key, Mapping) else str(key)


def listed(value: Any) -> list[Any]:
    """One or several, as a list."""
    return [*value] if isinstance(value, list | tuple) else [value]


def behind(data: Data, refs: list[str]) -> list[str]:
    """The branches and sources that tables are made of, through all that is ``of`` another."""
    seen: dict[str, None] = {}
    rest = [*refs]
    while rest:
        name = owner(rest.pop(0))
        if name not in seen:
            seen[name] = None
            rest += listed(data.get("sources", {}).get(name, {}).get("of", ()))
    return [*seen]
