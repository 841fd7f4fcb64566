"""What ``contrapose init`` is told of a table's texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from contrapose.types import Suggestion


def suggest(columns: Mapping[str, Sequence[Any]], extensions: tuple[str, ...], small: bool) -> Suggestion | None:
    """The columns of free text or of text files, or None. ``small``: for a machine without a GPU."""
    found = [name for name, values in columns.items() if _is_text(values, extensions)]
    if not found:
        return None
    size = {"layers": 2, "width": 128} if small else {}
    return Suggestion(found, "text/dropout", {"use": "text/transformer", **size})


def _is_text(values: Sequence[Any], extensions: tuple[str, ...]) -> bool:
    """Whether all are text files, or most are of letters and unlike each other, and many are of several words.

    A label repeats, a path or an identifier is one word; they are left to whom they belong to.
    """
    if not values or not all(isinstance(value, str) for value in values):
        return False
    if all(value.lower().endswith(extensions) for value in values):
        return True
    letters = sum(letter.isalpha() for value in values for letter in value)
    several = sum(len(value.split()) > 1 for value in values)
    return (
        letters > 0.5 * sum(map(len, values)) and len(set(values)) > 0.5 * len(values) and several > 0.3 * len(values)
    )
