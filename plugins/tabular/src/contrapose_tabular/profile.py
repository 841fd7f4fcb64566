"""What the columns of a table would be taken for, and why: for a person to look at before training."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, get_args

import pyarrow as pa
import pyarrow.compute as pc

from contrapose.config.messages import show
from contrapose.data.frame import as_table
from contrapose.errors import ConfigError, DataError, did_you_mean
from contrapose.plugins import registry
from contrapose_tabular.cells import as_time, as_truth, as_word, is_blank, reads_as_number
from contrapose_tabular.columns import cell_of
from contrapose_tabular.infer import Type
from contrapose_tabular.tally import MANY, TOO_MANY, Tally

_MARKED = re.compile(r"(?=.*[,%$€£¥])[-+]?[$€£¥]?\s*[-+]?\d[\d,' ]*(\.\d+)?\s*[%$€£¥]?")
_ONE = "one value only, which tells nothing"
_WORDS_HERE = "numbers written with , $ or % are words here"
SEEN = 1000
"""How many distinct words of a column are looked at to tell what they are."""


@dataclass(frozen=True)
class ColumnProfile:
    """A column: what it would be taken for, and what it holds.

    ``type`` is as under ``types``; ``said`` whether it must be said there, being no default; ``distinct`` values that aren't blank;
    ``missing`` the share of blank cells; ``shows`` its range, or its commonest words; ``why`` in words; ``modality`` another
    modality that would read it.
    """

    name: str
    type: Type
    said: bool
    distinct: int
    missing: float
    shows: str
    why: str
    modality: str | None = None


@dataclass(frozen=True)
class TableProfile:
    """The columns of a table of ``rows`` rows."""

    rows: int
    columns: tuple[ColumnProfile, ...]

    @property
    def used(self) -> list[str]:
        """The columns to learn from."""
        return [c.name for c in self.columns if c.type not in ("id", "ignored")]

    @property
    def types(self) -> dict[str, Type]:
        """What must be said under ``types`` of the columns that are used."""
        return {c.name: c.type for c in self.columns if c.said and c.name in self.used}

    def __str__(self) -> str:
        return "\n".join(f"{c.name}: {c.type} ({c.shows}; {c.missing:.0%} missing): {c.why}" for c in self.columns)


def infer_schema(table: Any, types: Mapping[str, Type] | None = None) -> TableProfile:
    """What the columns of a table (of pandas, polars, pyarrow) would be taken for, but for what ``types`` says.

    Nothing is fitted: a run fits its schema on its own training split. Raises ``ConfigError`` for an unknown column or type in
    ``types``, ``DataError`` for what makes no table, or one without rows.
    """
    found, types = as_table(table), types or {}
    for name, said in types.items():
        if name not in found.schema.names:
            raise ConfigError(f"there is no column {name!r}{did_you_mean(name, found.schema.names)}", ("types", name))
        if said not in (known := get_args(Type)):
            near = did_you_mean(str(said), known)
            raise ConfigError(f"column {name!r}: there is no type {show(said)}{near}", ("types", name))
    if not len(found):
        raise DataError("the table has no rows")
    columns = zip(found.schema.names, found.columns, strict=True)
    return TableProfile(len(found), tuple(_profile(name, column, types.get(name)) for name, column in columns))


def _profile(name: str, column: pa.ChunkedArray, said: Type | None) -> ColumnProfile:
    kind = column.type
    if said is None and not _makes_one(kind):
        missing = column.null_count / len(column)
        return ColumnProfile(name, "ignored", True, 0, missing, str(kind), f"a table's columns hold no {kind}")
    distinct = _distinct(column)
    text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
    suggested, why, modality = (said, "types says so", None) if said else _taken(name, column, distinct, text)
    tally = Tally(name, said or (None if suggested == _default(kind) else suggested))  # as a run would
    missing, shows = column.null_count / len(column), ""
    if suggested not in ("id", "ignored"):
        try:
            for chunk in column.chunks:
                tally.add_column(chunk)
        except ConfigError as error:
            suggested, why = "ignored", error.message
        else:
            count = sum(tally.words.values()) or tally.numbers.count
            missing, shows = 1 - count / len(column), _shows(tally, suggested)
            distinct = 1 if tally.numbers.low == tally.numbers.high else len(tally.words) or distinct
            if not count:
                suggested, why = "ignored", "every cell is blank"
            elif distinct == 1 and count < len(column):
                why += "; one value only, or blank"
            elif distinct == 1 and len(column) > 1:  # a run takes it where it is told to, as later data may have others
                suggested, why = (said, f"{why}; one value only") if said else ("ignored", _ONE)
    if not shows and _makes_one(kind):
        shows = ", ".join(_example(cell)[:20] for cell in column.drop_null()[:3])
    return ColumnProfile(name, suggested, suggested != _default(kind), distinct, missing, shows, why, modality)


def _taken(name: str, column: pa.ChunkedArray, distinct: int, text: bool) -> tuple[Type, str, str | None]:
    """A type, why, and another modality that would read the column."""
    kind, own = column.type, len(column) > 2 and distinct == len(column)
    if distinct == 0:
        return "ignored", "every cell is blank", None
    if pa.types.is_boolean(kind):
        return "boolean", "true or false", None
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return "time", "dates or times", None
    if not text:
        if own and pa.types.is_integer(kind) and _counts(column):
            return "id", "it counts the rows", None
        few = pa.types.is_integer(kind) and distinct <= 10
        return "numeric", f"numbers{'; categorical where they name kinds' if few else ''}", None
    try:
        words = [w for w in pc.unique(column)[:SEEN].to_pylist() if not is_blank(w)]
    except UnicodeDecodeError:
        return "ignored", "it holds text that isn't UTF-8", None
    if not words:
        return "ignored", "every cell is blank", None
    if all("-" in w and as_time(w) for w in words):
        return "time", "text that reads as dates", None
    if len(words) == 2 and all(as_truth(w) for w in words):
        return "boolean", f"{words[0]} and {words[1]}", None
    if (modality := _reads(words)) is not None:
        return "ignored", f"names files: modalities: {{{modality}: {name}}}", modality
    many = distinct > len(column) / 2
    if many and sum(len(w.split()) for w in words) > 2.5 * len(words):
        return "ignored", f"free text: modalities: {{text: {name}}}", "text"
    numbers = sum(reads_as_number(w) for w in words) / len(words)
    marked = numbers < 0.5 and sum(_MARKED.fullmatch(w) is not None for w in words) > len(words) / 2
    if own and marked:
        return "ignored", f"text, each row has its own; {_WORDS_HERE}", None
    if own and numbers < 0.5 and distinct > 20:
        return "id", "each row has its own", None
    if distinct > TOO_MANY:
        return "ignored", f"more than {TOO_MANY:,} words", None
    if numbers == 1:
        return "categorical", "numbers in text; numeric where these are quantities", None
    if marked:
        return "categorical", _WORDS_HERE, None
    return "categorical", f"words{'; an id?' if distinct > MANY else ''}", None


def _distinct(column: pa.ChunkedArray) -> int:
    """How many values a column has, but for blanks; 0 where Arrow can't tell."""
    kind = column.type
    if pa.types.is_null(kind):
        return 0
    try:
        found = int(pc.count_distinct(column).as_py())
    except pa.ArrowNotImplementedError:  # of lists, which only types can make a column of
        return 0
    if not pa.types.is_floating(kind):
        return found
    return found - bool(pc.any(pc.is_nan(column.cast(pa.float64()))).as_py())


def _example(cell: pa.Scalar) -> str:
    found = cell_of(cell)
    return found.decode(errors="backslashreplace") if isinstance(found, bytes) else as_word(found)


def _shows(tally: Tally, type: Type) -> str:
    if tally.words:
        top = sorted(tally.words, key=lambda w: (-tally.words[w], w))[:3]
        return ", ".join(w[:20] for w in top) + (", …" if len(tally.words) > 3 else "")
    if not tally.numbers.count:
        return ""
    ends = (tally.numbers.low, tally.numbers.high)
    if type == "time":
        start = dt.datetime(1970, 1, 1)
        return " to ".join(str((start + dt.timedelta(seconds=s)).date()) for s in ends)
    return " to ".join(f"{end + 0.0:g}" for end in ends)


def _makes_one(kind: pa.DataType) -> bool:
    return _default(kind) != "ignored"


def _default(kind: pa.DataType) -> Type:
    """What a column of this type is taken for where nothing is said."""
    if pa.types.is_boolean(kind):
        return "boolean"
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind) or pa.types.is_null(kind):
        return "numeric"
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return "time"
    return "categorical" if pa.types.is_string(kind) or pa.types.is_large_string(kind) else "ignored"


def _counts(column: pa.ChunkedArray) -> bool:
    ends = pc.min_max(column).as_py()
    return bool(ends["max"] - ends["min"] == len(column) - 1)


def _reads(words: list[str]) -> str | None:
    """The modality that reads files named so; None where these are no names of files."""
    suffixes = {PurePath(word).suffix.lower() for word in words if "\0" not in word}
    if not all(1 < len(s) <= 6 and s[1:].isalnum() and not s[1:].isdigit() for s in suffixes):
        return None
    for offer in registry().offers("modality"):
        extensions = getattr(registry().load("modality", offer.name), "extensions", ())
        if suffixes <= set(extensions):
            return offer.spec.name
    return None
