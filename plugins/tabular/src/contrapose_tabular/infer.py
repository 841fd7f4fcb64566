"""From the raw cells of the training split to a schema."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping
from typing import Any, Literal

import numpy as np

from contrapose.config.messages import show
from contrapose.errors import ConfigError, did_you_mean, warn
from contrapose_tabular.quantiles import Quantiles
from contrapose_tabular.schema import (
    Categorical,
    Column,
    Kind,
    Numeric,
    Schema,
    as_number,
    as_word,
    is_blank,
    kind_of,
    reads_as_number,
)

Type = Literal["numeric", "categorical"]
_PLURAL: dict[tuple[Kind, bool], str] = {
    ("number", False): "numbers",
    ("boolean", False): "booleans",
    ("text", True): "numbers",  # that stand in a column of text
    ("text", False): "words",
}


def infer(rows: Iterable[Mapping[str, Any]], types: Mapping[str, Type] | None = None) -> Schema:
    """The schema of rows of cells: numbers are numeric, text and booleans categorical, unless ``types`` says otherwise.

    A column without any value is left out, with a warning. Raises ``ConfigError`` for one that mixes numbers with words, for one
    of anything else (bytes, lists, dates), and where nothing is left.
    """
    types = types or {}
    tallies: dict[str, _Tally] = {}
    for row in rows:
        for name, cell in row.items():
            if name not in tallies:
                tallies[name] = _Tally(name, types.get(name))
            tallies[name].add(cell)
    for name in types:
        if name not in tallies:
            raise ConfigError(f"there is no column {name!r}{did_you_mean(name, tallies)}", ("types", name))
    blank = [name for name, tally in tallies.items() if tally.kind is None]
    if len(blank) == len(tallies):
        raise ConfigError(f"nothing to learn from: {', '.join(blank) or 'every row'} is blank in the training split")
    for name in blank:
        warn(f"column {name!r} is blank in the whole training split: it is left out")
    return Schema(tuple(tally.column() for tally in tallies.values() if tally.kind is not None))


class _Tally:
    """What a column holds, as far as it was read."""

    def __init__(self, name: str, type: Type | None) -> None:
        self.name = name
        self.type = type
        self.kind: Kind | None = None  # that of the first cell
        self._numbers = array("d")
        self._words: set[str] = set()
        self._examples: dict[tuple[Kind, bool], Any] = {}

    def add(self, cell: Any) -> None:
        """Count a cell in."""
        if is_blank(cell):
            return
        kind = kind_of(cell)
        if kind is None:
            raise ConfigError(
                f"column {self.name!r} holds {type(cell).__name__}, and a table's columns are numbers, text or booleans: "
                "leave it out, or convert it"
            )
        self.kind = self.kind or kind
        if self.type is None:
            self._require_alike(cell, kind)
        if self.type == "numeric" or (self.type is None and kind == "number"):
            number = as_number(cell)
            if not np.isfinite(number):
                raise ConfigError(f"column {self.name!r}: {show(cell)} is no finite number: mend it, or leave it blank")
            self._numbers.append(number)
        else:
            self._words.add(as_word(cell))

    def column(self) -> Column:
        """The column, once all cells are counted."""
        cells = None if self.type else self.kind
        if self._words:
            return Categorical(self.name, tuple(sorted(self._words)), cells)
        numbers = np.frombuffer(self._numbers)
        with np.errstate(over="ignore", invalid="ignore"):
            mean, std = float(numbers.mean()), float(numbers.std()) if np.ptp(numbers) else 1.0
        if not np.isfinite([mean, std]).all() or std == 0:
            raise ConfigError(f"column {self.name!r}: its numbers are too large or too close to be standardised")
        quantiles = Quantiles()
        quantiles.add(numbers)
        return Numeric(self.name, mean, std, cells, tuple(((quantiles.edges() - mean) / std).tolist()))

    def _require_alike(self, cell: Any, kind: Kind) -> None:
        """A table read from text makes a column text for one word among its numbers: that is a slip oftener than a category."""
        self._examples.setdefault((kind, kind == "text" and reads_as_number(cell)), cell)
        if len(self._examples) > 1:
            (a, one), (b, other) = self._examples.items()
            raise ConfigError(
                f"column {self.name!r} mixes {_PLURAL[a]} and {_PLURAL[b]}, {show(one)} and {show(other)}: mend it, leave what "
                f"isn't known blank, or say types: {{{self.name}: categorical}}"
            )
