"""What a raw cell of a table is: its kind, and how it is read as a number, a word, a truth value, a time."""

from __future__ import annotations

import datetime as dt
import math
import re
from decimal import Decimal
from numbers import Real
from typing import Any, Literal

import numpy as np

Kind = Literal["number", "text", "boolean", "time"]
_NUMBER = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*")
_TRUTH = {
    **dict.fromkeys(("true", "t", "yes", "y", "1"), "true"),
    **dict.fromkeys(("false", "f", "no", "n", "0"), "false"),
}


def kind_of(cell: Any) -> Kind | None:
    """What a cell holds; None for what makes no column here (bytes, lists)."""
    if isinstance(cell, (bool, np.bool_)):
        return "boolean"
    if isinstance(cell, (Real, Decimal)):
        return "number"
    if isinstance(cell, dt.date):  # a datetime is one too
        return "time"
    return "text" if isinstance(cell, str) else None


def is_blank(cell: Any) -> bool:
    """Whether a cell is missing: None, NaN, or text of nothing but spaces."""
    if cell is None or (isinstance(cell, str) and not cell.strip()):
        return True
    return isinstance(cell, (Real, Decimal, dt.date)) and bool(cell != cell)


def reads_as_number(text: str) -> bool:
    """Whether text is a number, written as a computer writes it."""
    return _NUMBER.fullmatch(text) is not None


def as_number(cell: Any) -> float:
    """A cell as a number; NaN where it can't be read as one."""
    if isinstance(cell, dt.date) or (isinstance(cell, str) and not reads_as_number(cell)):
        return math.nan
    try:
        return float(cell)
    except OverflowError:  # a whole number of hundreds of digits
        return math.inf


def as_word(cell: Any) -> str:
    """A cell as a category: ``1.0`` is ``1``, as the same column may be read as whole numbers from another file."""
    kind = kind_of(cell)
    if kind == "boolean":
        return "true" if cell else "false"
    if kind == "number" and math.isfinite(as_number(cell)) and cell == int(cell):
        return str(int(cell))
    return str(cell)


def as_truth(cell: Any) -> str | None:
    """``true`` or ``false`` of a boolean, of 1 or 0, or of a word such as yes or no; None for anything else."""
    return _TRUTH.get(as_word(cell).strip().lower())


def as_time(cell: Any) -> dt.datetime | None:
    """A date (at midnight), a time, or the ISO 8601 text of one; None for anything else."""
    if isinstance(cell, str):
        try:
            return dt.datetime.fromisoformat(cell.strip())
        except ValueError:
            return None
    if isinstance(cell, dt.datetime):
        return cell
    return dt.datetime.combine(cell, dt.time()) if isinstance(cell, dt.date) else None


def seconds(time: dt.datetime) -> float:
    """Seconds since 1970 UTC; a time that tells no zone is taken as UTC."""
    return (time if time.tzinfo else time.replace(tzinfo=dt.UTC)).timestamp()
