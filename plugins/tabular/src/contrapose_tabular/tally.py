"""What a column of the training split holds, as far as it was read: cell by cell, or as Arrow arrays."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from contrapose.errors import ConfigError, DataError, warn
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
from contrapose_tabular.columns import cell_of, microseconds
from contrapose_tabular.moments import Moments
from contrapose_tabular.quantiles import Quantiles
from contrapose_tabular.schema import PARTS, Categorical, Column, Moment, Numeric, Part, said

MANY, TOO_MANY = 1000, 100_000
"""Numbers of categories: from the one on it is told, beyond the other refused, as encoders have weights for each."""
_PART = 2**16
_PLURAL: dict[tuple[Kind, bool], str] = {
    ("number", False): "numbers",
    ("boolean", False): "booleans",
    ("time", False): "times",
    ("text", True): "numbers",  # that stand in a column of text
    ("text", False): "words",
}


class Tally:
    """Counts a column's cells, each once. ``type`` is what the config says of it, ``kind`` that of its first value."""

    def __init__(self, name: str, type: str | None = None) -> None:
        self.name = name
        self.type = type
        self.kind: Kind | None = None
        self.words: dict[str, int] = {}
        """How often each category comes."""
        self._numbers = Moments()
        self._quantiles = Quantiles()
        self._waiting: list[tuple[float, int]] = []  # numbers and how often each comes, not taken yet
        self._waits = 0
        self._hours = False  # whether any time isn't midnight's
        self._examples: dict[tuple[Kind, bool], Any] = {}

    @property
    def numbers(self) -> Moments:
        """The numbers so far, or the seconds of times."""
        if self._waiting:
            numbers, counts = zip(*self._waiting, strict=True)
            self._waiting, self._waits = [], 0
            self._take(np.repeat(np.array(numbers), counts))
        return self._numbers

    def add(self, cell: Any, count: int = 1) -> None:
        """Count a cell in, as often as it comes. Raises ``ConfigError`` for what makes no column."""
        if is_blank(cell):
            return
        means = self._meet(cell)
        if means == "number":
            number = as_number(cell)
            if not math.isfinite(number):
                raise self._no_number(cell)
            self._wait(number, count)
        elif means == "time":
            time = as_time(cell)
            if time is None:
                raise ConfigError(
                    f"column {self.name!r}: {said(cell)} is no date or time: write it as 2024-12-31 or 2024-12-31T23:59"
                )
            self._hours |= bool(time.hour or time.minute)
            self._wait(seconds(time), count)
        else:
            word = as_truth(cell) if self.type == "boolean" else as_word(cell)
            if word is None:
                raise ConfigError(
                    f"column {self.name!r}: {said(cell)} is neither true nor false: mend it, or leave it blank"
                )
            self.words[word] = self.words.get(word, 0) + count
            if len(self.words) > TOO_MANY:
                raise ConfigError(f"column {self.name!r} has more than {TOO_MANY:,} categories: {self._no_category()}")

    def add_column(self, column: pa.Array) -> None:
        """Count an array's cells in: numbers and times by numpy, of the rest each distinct cell once."""
        kind = column.type
        column = column.drop_null()
        if not len(column):
            return
        if (pa.types.is_integer(kind) or pa.types.is_floating(kind)) and self.type in (None, "numeric"):
            self._add_numbers(column)
        elif (pa.types.is_timestamp(kind) or pa.types.is_date(kind)) and self.type in (None, "time"):
            self._add_times(column)
        elif pa.types.is_primitive(kind) or pa.types.is_string(kind) or pa.types.is_large_string(kind):
            found = pc.value_counts(column)
            cells, counts = found.field("values"), found.field("counts").to_pylist()
            for cell, count in zip(_cells(cells), counts, strict=True):
                self.add(cell, count)
        else:
            for cell in column:
                self.add(cell_of(cell))

    def columns(self) -> list[Column]:
        """The schema's columns, once all cells are counted; several of a column of times. Raises ``ConfigError``."""
        cells = None if self.type else self.kind
        if self.words:
            if len(self.words) > MANY:
                warn(f"column {self.name!r} has {len(self.words):,} categories: {self._no_category()}")
            return [Categorical(self.name, tuple(sorted(self.words)), cells, self.type == "boolean")]
        mean, std = self.numbers.mean, self.numbers.std
        if not np.isfinite([mean, std]).all() or std == 0:
            raise ConfigError(f"column {self.name!r}: its numbers are too large or too close to be standardised")
        quantiles = tuple(((self._quantiles.edges() - mean) / std).tolist())
        if self._means(self.kind) != "time":
            return [Numeric(self.name, mean, std, cells, quantiles)]
        parts = [part for part in PARTS if part != "hour" or self._hours]
        return [
            Moment(self.name, mean, std, quantiles=quantiles),
            *(Part(f"{self.name}.{part}", PARTS[part]) for part in parts),
        ]

    def _add_numbers(self, column: pa.Array) -> None:
        numbers = column.to_numpy(zero_copy_only=False).astype(np.float64)
        numbers = numbers[~np.isnan(numbers)]
        if not len(numbers):
            return
        self._meet(numbers[0].item())
        if not (finite := np.isfinite(numbers)).all():
            raise self._no_number(numbers[~finite][0].item())
        self._take(numbers)

    def _add_times(self, column: pa.Array) -> None:
        zone = getattr(column.type, "tz", None)
        try:
            pa.scalar(0, pa.timestamp("s", zone)).as_py()
        except (KeyError, ValueError):
            raise ConfigError(
                f"column {self.name!r} has times in the zone {zone!r}, which isn't known here: convert it to UTC"
            ) from None
        try:
            times = microseconds(column)
        except DataError as error:
            raise ConfigError(f"column {self.name!r} holds {error}; mend it, or leave it blank") from None
        self._meet(times[0].as_py())
        self._take(times.cast(pa.int64()).to_numpy(zero_copy_only=False) / 1e6)
        self._hours |= pc.any(pc.or_(pc.not_equal(pc.hour(times), 0), pc.not_equal(pc.minute(times), 0))).as_py()

    def _meet(self, cell: Any) -> Kind:
        """What a cell that isn't blank is read as. Raises ``ConfigError`` where it makes no column, or isn't like the others."""
        kind = kind_of(cell)
        if kind is None:
            raise ConfigError(
                f"column {self.name!r} holds {type(cell).__name__}, and a table's columns are numbers, text, booleans or dates: "
                "leave it out, or convert it"
            )
        self.kind = self.kind or kind
        if self.type is None:
            self._require_alike(cell, kind)
        return self._means(kind)

    def _means(self, kind: Kind | None) -> Kind:
        """As what a cell of this kind is counted."""
        said: dict[str | None, Kind] = {
            "numeric": "number",
            "time": "time",
            "categorical": "text",
            "boolean": "boolean",
        }
        return said.get(self.type) or kind or "text"

    def _wait(self, number: float, count: int) -> None:
        self._waiting.append((number, count))
        self._waits += count
        if self._waits >= _PART:
            _ = self.numbers

    def _take(self, numbers: NDArray[np.float64]) -> None:
        self._numbers.add(numbers)
        self._quantiles.add(numbers)

    def _no_number(self, cell: Any) -> ConfigError:
        what = "finite number" if kind_of(cell) == "number" else "number"
        return ConfigError(f"column {self.name!r}: {said(cell)} is no {what}: mend it, or leave it blank")

    def _no_category(self) -> str:
        return f"where each is but a name, say types: {{{self.name}: id}}, and numbers in text are {{{self.name}: numeric}}"

    def _require_alike(self, cell: Any, kind: Kind) -> None:
        """A table read from text makes a column text for one word among its numbers: that is a slip oftener than a category."""
        self._examples.setdefault((kind, kind == "text" and reads_as_number(cell)), cell)
        if len(self._examples) > 1:
            (a, one), (b, other) = self._examples.items()
            raise ConfigError(
                f"column {self.name!r} mixes {_PLURAL[a]} and {_PLURAL[b]}, {said(one)} and {said(other)}: mend it, leave what "
                f"isn't known blank, or say types: {{{self.name}: categorical}}"
            )


def _cells(values: pa.Array) -> list[Any]:
    try:
        found: list[Any] = values.to_pylist()
        return found
    except (ValueError, OverflowError):  # text that isn't UTF-8, and times that Python can't hold
        return [cell_of(value) for value in values]
