"""What the columns of a table are: settled once on the training split, and the same for every row ever after."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from functools import cached_property
from numbers import Real
from typing import Any, Literal

import numpy as np

from contrapose.config.messages import show
from contrapose.errors import DataError

MISSING, UNSEEN, FIRST = 0, 1, 2
"""Codes of a category: of a blank cell, of a word that the training split lacks, of the first word that it has."""

Kind = Literal["number", "text", "boolean"]
_EXPECTED = {"number": "a number", "text": "text", "boolean": "true or false"}
_NUMBER = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*")
_LARGEST = float(np.finfo(np.float32).max)


def kind_of(cell: Any) -> Kind | None:
    """What a cell holds; None for what makes no column here (bytes, lists, dates)."""
    if isinstance(cell, (bool, np.bool_)):
        return "boolean"
    if isinstance(cell, (Real, Decimal)):
        return "number"
    return "text" if isinstance(cell, str) else None


def is_blank(cell: Any) -> bool:
    """Whether a cell is missing: None, NaN, or text of nothing but spaces."""
    if cell is None or (isinstance(cell, str) and not cell.strip()):
        return True
    return isinstance(cell, (Real, Decimal)) and bool(cell != cell)


def reads_as_number(text: str) -> bool:
    """Whether text is a number, written as a computer writes it."""
    return _NUMBER.fullmatch(text) is not None


def as_number(cell: Any) -> float:
    """A cell as a number; NaN where it can't be read as one."""
    if isinstance(cell, str) and not reads_as_number(cell):
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

    def code(self, cell: Any) -> float:
        """(number - mean) / std, NaN for a blank. Raises ``DataError`` for what is no number.

        Text that reads as a number is one: another file's column may be text for the sake of one of its words.
        """
        if is_blank(cell):
            return math.nan
        if not (isinstance(cell, str) and reads_as_number(cell)):
            _require(self.name, self.cells, cell)
        z = (as_number(cell) - self.mean) / self.std
        if not abs(z) <= _LARGEST:
            raise DataError(f"column {self.name!r}: {show(cell)} is no finite number in float32")
        return z

    def text(self, z: float) -> str | None:
        """A standardised number in the column's own units, as fine as float32 can tell; None for a blank."""
        if math.isnan(z):
            return None
        value = round(self.mean + z * self.std, 5 - math.floor(math.log10(self.std)))
        return f"{value + 0.0:.12g}"  # + 0.0: no -0


@dataclass(frozen=True)
class Categorical:
    """A column of categories, those of the training split in sorted order.

    ``cells`` is what its cells must hold; None where the config says that it is categorical, and any cell is taken as a word.
    """

    name: str
    categories: tuple[str, ...]
    cells: Kind | None = "text"

    @property
    def size(self) -> int:
        """How many codes there are: the categories, the missing and the unseen."""
        return FIRST + len(self.categories)

    def code(self, cell: Any) -> int:
        """``MISSING``, ``UNSEEN``, or the category's number from ``FIRST``. Raises ``DataError`` for another kind of cell."""
        if is_blank(cell):
            return MISSING
        _require(self.name, self.cells, cell)
        return self._codes.get(as_word(cell), UNSEEN)

    def text(self, code: int) -> str | None:
        """The word of a code; None for a blank."""
        return None if code == MISSING else "(unseen)" if code == UNSEEN else self.categories[code - FIRST]

    @cached_property
    def _codes(self) -> dict[str, int]:
        return {word: code for code, word in enumerate(self.categories, FIRST)}


Column = Numeric | Categorical


@dataclass(frozen=True)
class Schema:
    """The columns of a table, in its order."""

    columns: tuple[Column, ...]

    @cached_property
    def numeric(self) -> tuple[Numeric, ...]:
        """The columns of numbers: a row's ``numeric`` (F,) float32, standardised, NaN where missing."""
        return tuple(c for c in self.columns if isinstance(c, Numeric))

    @cached_property
    def categorical(self) -> tuple[Categorical, ...]:
        """The columns of categories: a row's ``categories`` (C,) int64, codes."""
        return tuple(c for c in self.columns if isinstance(c, Categorical))

    def to_json(self) -> list[dict[str, Any]]:
        """The columns as JSON values."""
        return [{"is": type(c).__name__.lower(), **asdict(c)} for c in self.columns]

    @classmethod
    def from_json(cls, columns: list[Mapping[str, Any]]) -> Schema:
        """What ``to_json`` gave."""
        made: list[Column] = []
        for column in columns:
            said = {k: v for k, v in column.items() if k != "is"}
            if column["is"] == "numeric":
                made.append(Numeric(**{**said, "quantiles": tuple(said.get("quantiles", ()))}))
            else:
                made.append(Categorical(**{**said, "categories": tuple(said["categories"])}))
        return cls(tuple(made))


def _require(name: str, cells: Kind | None, cell: Any) -> None:
    kind = kind_of(cell)
    if kind is None or cells not in (None, kind):
        expected = _EXPECTED[cells] if cells else "a number, text or true or false"
        found = {"number": "the number ", "text": "the text ", "boolean": "", None: ""}[kind]
        raise DataError(f"column {name!r}: expected {expected} as in the training split, found {found}{show(cell)}")
