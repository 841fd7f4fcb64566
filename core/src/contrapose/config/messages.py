"""What pydantic found wrong, in one line for people."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from contrapose.errors import did_you_mean

if TYPE_CHECKING:
    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

_TYPES = {
    "float": "a number",
    "int": "a whole number",
    "bool": "true or false",
    "string": "text",
    "list": "a list",
    "tuple": "a list",
    "set": "a list",
    "dict": "a mapping",
    "mapping": "a mapping",
    "path": "a path",
    "none": "null",
    "model": "a mapping",
    "dataclass": "a mapping",
}


def show(value: object) -> str:
    """A value in a message, cut to a line."""
    text = repr(value) if value is not None else "null"
    return text if len(text) <= 60 else text[:57] + "..."


def explain(error: ValidationError, tree: Any) -> tuple[str, tuple[str | int, ...]]:
    """The deepest thing that is wrong with ``tree``: a message, and the way to it from the root of ``tree``.

    Where a union was asked for, each of its members failed; the one that came farthest is what was meant.
    """
    found = [(_way(e["loc"], tree), e) for e in error.errors(include_url=False)]
    way = max((way for way, _ in found), key=len)
    errors = [e for w, e in found if w == way]
    expected = list(dict.fromkeys(filter(None, map(_expected, errors))))
    if not expected:
        return _otherwise(errors[0]), way
    got = errors[0]["input"]
    return f"expected {' or '.join(expected)}, got {show(got)}{_near(got, errors)}", way


def unknown(name: str, choices: Iterable[str]) -> str:
    """The message for a key that there isn't."""
    return f"unknown key {name!r}{did_you_mean(name, choices)}"


def _expected(error: ErrorDetails) -> str | None:
    """What was expected, in words, or None where that isn't what the error says."""
    kind, context = error["type"], error.get("ctx", {})
    if kind in ("literal_error", "enum"):
        return f"one of {context['expected']}".replace("' or '", "', '")
    if kind == "int_from_float":
        return _TYPES["int"]
    if kind == "sequence_str":  # text where a list was asked for
        return _TYPES["list"]
    if kind == "is_instance_of":
        return f"a {context['class']}"
    if kind.endswith(("_type", "_parsing")) and (word := _TYPES.get(kind.partition("_")[0])):
        return word
    if kind in ("missing", "value_error", "assertion_error"):
        return None
    message = error["msg"].removeprefix("Input should be ").removeprefix("Value should be ")
    return f"{message[0].lower()}{message[1:]}"


def _otherwise(error: ErrorDetails) -> str:
    return "is missing" if error["type"] == "missing" else str(error.get("ctx", {}).get("error", error["msg"]))


def _near(got: Any, errors: list[ErrorDetails]) -> str:
    choices = [
        c for e in errors if e["type"] == "literal_error" for c in re.findall(r"'([^']*)'", e["ctx"]["expected"])
    ]
    near = did_you_mean(got, choices) if isinstance(got, str) else ""
    return near if "did you mean" in near else ""


def _way(loc: tuple[str | int, ...], tree: Any) -> tuple[str | int, ...]:
    """Those parts of pydantic's location that are keys and positions of the tree; it adds names of types to them."""
    way: list[str | int] = []
    for part in loc:
        if isinstance(tree, Mapping):
            there = part in tree
        else:
            there = isinstance(tree, (list, tuple)) and isinstance(part, int) and part < len(tree)
        if there:
            tree = tree[part]
            way.append(part)
    return tuple(way)
