"""What the columns of a table are: settled once on the training split, and the same for every row ever after."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from functools import cached_property
from typing import Any

import numpy as np

from contrapose.config.messages import show
from contrapose.errors import DataError
from contrapose_tabular.cells import (
    Kind,
    as_number,
    as_time,
    as_truth,
    as_word,
    is_blank,
    kind_of,
    reads_as_number,
    seconds,
)

MISSING, UNSEEN, FIRST = 0, 1, 2
"""Codes of a category: of a blank cell, of a word that the training split lacks, of the first word that it has."""

PARTS = {
    "month": ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"),
    "weekday": ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"),
    "hour": tuple(f"{hour:02}" for hour in range(24)),
}
"""What comes round again in a time: each part is a category of its own, so that a view that redraws one never makes a time
that there isn't, as it would from half of a sine and cosine."""

_EXPECTED = {"number": "a number", "text": "text", "boolean": "true or false", "time": "a date or time"}
_FOUND = {"number": "the number ", "text": "the text ", "boolean": "", "time": "the time ", None: ""}
_LARGEST = float(np.finfo(np.float32).max)


class Beyond(DataError):
    """A number that float32 doesn't hold once it is standardised."""


def said(cell: Any) -> str:
    """A cell in a message, as a person would write it."""
    if kind_of(cell) == "time" or isinstance(cell, Decimal):
        return str(cell)
    return show(cell.tolist() if isinstance(cell, (np.generic, np.ndarray)) else cell)


@dataclass(frozen=True)
class Numeric:
    """A column of numbers, standardised by the training split's mean and standard deviation (1 where they are all alike).

    ``cells`` is what its cells must hold; None where the config says that it is numeric, and any cell is read as a number.
    ``quantiles`` of the training split, standardised and evenly spaced from the least number to the largest, are what encoders take
    as the edges of bins.
    """

    name: str
    mean: float
    std: float
    cells: Kind | None = "number"
    quantiles: tuple[float, ...] = field(default=(), compare=False)  # equal columns are those that code cells alike

    @property
    def source(self) -> str:
        """The table's column that it is made of."""
        return self.name

    def code(self, cell: Any) -> float:
        """(number - mean) / std, NaN for a blank. Raises ``DataError`` for what is no number.

        Text that reads as a number is one: another file's column may be text for the sake of one of its words.
        """
        if is_blank(cell):
            return math.nan
        if not (isinstance(cell, str) and reads_as_number(cell)):
            _require(self.name, self.cells, cell)
        return self._standardised(as_number(cell), cell)

    def _standardised(self, number: float, cell: Any) -> float:
        if math.isnan(number):
            raise DataError(f"column {self.name!r}: {said(cell)} is no number")
        z = (number - self.mean) / self.std
        if not abs(z) <= _LARGEST:
            raise Beyond(f"column {self.name!r}: {said(cell)} is no finite number in float32")
        return z

    def text(self, z: float) -> str | None:
        """A standardised number in the column's own units, as fine as float32 can tell; None for a blank."""
        if math.isnan(z):
            return None
        value = round(self.mean + z * self.std, 5 - math.floor(math.log10(self.std)))
        return f"{value + 0.0:.12g}"  # + 0.0: no -0


@dataclass(frozen=True)
class Moment(Numeric):
    """A column of dates or times as seconds since 1970 UTC, standardised. Text is read as ISO 8601."""

    cells: Kind | None = "time"

    def code(self, cell: Any) -> float:
        """(seconds - mean) / std, NaN for a blank. Raises ``DataError`` for what is no time."""
        if is_blank(cell):
            return math.nan
        return self._standardised(seconds(_time(self.source, cell)), cell)

    def text(self, z: float) -> str | None:
        """The time in UTC, to the minute, which is as fine as float32 can tell over some years; None for a blank."""
        if math.isnan(z):
            return None
        try:
            time = dt.datetime(1970, 1, 1) + dt.timedelta(minutes=round((self.mean + z * self.std) / 60))
        except OverflowError:
            return "beyond the calendar"
        return time.isoformat(" ", "minutes").removesuffix(" 00:00")


@dataclass(frozen=True)
class Categorical:
    """A column of categories, those of the training split in sorted order.

    ``cells`` is what its cells must hold; None where the config says that it is categorical, and any cell is taken as a word, or,
    with ``truth``, that it is boolean, and ``yes``, ``0`` and their like are taken as true or false.
    """

    name: str
    categories: tuple[str, ...]
    cells: Kind | None = "text"
    truth: bool = False

    @property
    def source(self) -> str:
        """The table's column that it is made of."""
        return self.name

    @property
    def size(self) -> int:
        """How many codes there are: the categories, the missing and the unseen."""
        return FIRST + len(self.categories)

    def code(self, cell: Any) -> int:
        """``MISSING``, ``UNSEEN``, or the category's number from ``FIRST``. Raises ``DataError`` for another kind of cell."""
        if is_blank(cell):
            return MISSING
        if self.cells != "text" or self._bare is None or kind_of(cell) != self._bare:
            _require(self.name, self.cells, cell)
        word = as_truth(cell) if self.truth else as_word(cell)
        if word is None:
            raise _unexpected(self.name, "boolean", cell)
        return self._codes.get(word, UNSEEN)

    def text(self, code: int) -> str | None:
        """The word of a code; None for a blank."""
        return None if code == MISSING else "(unseen)" if code == UNSEEN else self.categories[code - FIRST]

    @cached_property
    def _codes(self) -> dict[str, int]:
        codes = {word: code for code, word in enumerate(self.categories, FIRST)}
        return {word.lower(): code for word, code in codes.items()} | codes if self._bare == "boolean" else codes

    @cached_property
    def _bare(self) -> Kind | None:
        """What a CSV, which tells no text from what it spells, makes of a column of these words: where not text."""
        if all(map(reads_as_number, self.categories)):
            return "number"
        return "boolean" if all(word.lower() in ("true", "false") for word in self.categories) else None


@dataclass(frozen=True)
class Part(Categorical):
    """A part of a column of dates or times, one of ``PARTS``: ``when.month``, as the cell writes it, in its own zone."""

    cells: Kind | None = "time"

    @property
    def source(self) -> str:
        """The table's column of times."""
        return self.name.rpartition(".")[0]

    def code(self, cell: Any) -> int:
        """``MISSING``, or the part's number from ``FIRST``. Raises ``DataError`` for what is no time."""
        if is_blank(cell):
            return MISSING
        time = _time(self.source, cell)
        parts = {"month": time.month - 1, "weekday": time.weekday(), "hour": time.hour}
        return FIRST + parts[self.name.rpartition(".")[2]]


Column = Numeric | Categorical
_KINDS: dict[str, Any] = {c.__name__.lower(): c for c in (Numeric, Moment, Categorical, Part)}


@dataclass(frozen=True)
class Schema:
    """The columns of a table, in its order; a column of times is several here, the moment and its parts."""

    columns: tuple[Column, ...]

    @cached_property
    def sources(self) -> tuple[str, ...]:
        """The columns that a row must have."""
        return tuple(dict.fromkeys(c.source for c in self.columns))

    @cached_property
    def numeric(self) -> tuple[Numeric, ...]:
        """The columns of numbers: a row's ``numeric`` (F,) float32, standardised, NaN where missing."""
        return tuple(c for c in self.columns if isinstance(c, Numeric))

    @cached_property
    def categorical(self) -> tuple[Categorical, ...]:
        """The columns of categories: a row's ``categories`` (C,) int64, codes."""
        return tuple(c for c in self.columns if isinstance(c, Categorical))

    @property
    def constant(self) -> bool:
        """Whether each column had one value only, but for blanks."""
        own = [c for c in self.columns if not isinstance(c, Part)]
        return all(len(set(c.quantiles if isinstance(c, Numeric) else c.categories)) < 2 for c in own)

    def to_json(self) -> list[dict[str, Any]]:
        """The columns as JSON values."""
        return [{"is": type(c).__name__.lower(), **asdict(c)} for c in self.columns]

    @classmethod
    def from_json(cls, columns: list[Mapping[str, Any]]) -> Schema:
        """What ``to_json`` gave."""
        made: list[Column] = []
        for column in columns:
            said = {k: tuple(v) if k in ("categories", "quantiles") else v for k, v in column.items() if k != "is"}
            made.append(_KINDS[column["is"]](**said))
        return cls(tuple(made))


def _time(name: str, cell: Any) -> dt.datetime:
    time = as_time(cell)
    if time is None:
        raise _unexpected(name, "time", cell)
    return time


def _require(name: str, cells: Kind | None, cell: Any) -> None:
    kind = kind_of(cell)
    if kind is None or cells not in (None, kind):
        raise _unexpected(name, cells, cell)


def _unexpected(name: str, cells: Kind | None, cell: Any) -> DataError:
    expected = _EXPECTED[cells] if cells else "a number, text, a time or true or false"
    found = f"{_FOUND[kind_of(cell)]}{said(cell)}"
    return DataError(f"column {name!r}: expected {expected} as in the training split, found {found}")
