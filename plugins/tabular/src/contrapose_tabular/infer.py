"""From the raw cells of the training split to a schema."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

from contrapose.errors import ConfigError, did_you_mean, warn
from contrapose_tabular.schema import Schema
from contrapose_tabular.tally import Tally

Type = Literal["numeric", "categorical", "boolean", "time", "id", "ignored"]
"""What a column is meant as; an ``id`` and what is ``ignored`` are left out alike."""


def infer(rows: Iterable[Mapping[str, object]], types: Mapping[str, Type] | None = None) -> Schema:
    """The schema of rows of cells: numbers are numeric, text and booleans categorical, dates times; ``types`` says otherwise.

    Rows that also come as Arrow batches (``batches()``) are read by column, with the same result. A column without any value is
    left out, with a warning. Raises ``ConfigError`` for one that mixes numbers with words, for one of anything else (bytes,
    lists), for one of too many categories, and where nothing is left.
    """
    types = types or {}
    tallies = count(rows, types)
    for name in types:
        if name not in tallies:
            raise ConfigError(f"there is no column {name!r}{did_you_mean(name, tallies)}", ("types", name))
    used = {name: tally for name, tally in tallies.items() if not leaves_out(types.get(name))}
    if tallies and not used:
        raise ConfigError(f"nothing to learn from: {', '.join(tallies)} are all left out", ("types",))
    blank = [name for name, tally in used.items() if tally.kind is None]
    if len(blank) == len(used):
        raise ConfigError(f"nothing to learn from: {', '.join(blank) or 'every row'} is blank in the training split")
    for name in blank:
        warn(f"column {name!r} is blank in the whole training split: it is left out")
    return Schema(tuple(column for tally in used.values() if tally.kind is not None for column in tally.columns()))


def count(rows: Iterable[Mapping[str, object]], types: Mapping[str, Type]) -> dict[str, Tally]:
    """What each column holds. Raises ``ConfigError`` as ``infer`` does."""
    tallies: dict[str, Tally] = {}

    def of(name: str) -> Tally:
        if name not in tallies:
            tallies[name] = Tally(name, types.get(name))
        return tallies[name]

    if hasattr(rows, "batches"):
        for batch in rows.batches():
            for name, column in zip(batch.schema.names, batch.columns, strict=True):
                tally = of(name)
                if not leaves_out(tally.type):
                    tally.add_column(column)
        return tallies
    for row in rows:
        for name, cell in row.items():
            tally = of(name)
            if not leaves_out(tally.type):
                tally.add(cell)
    return tallies


def leaves_out(type: str | None) -> bool:
    """Whether a column that is meant so isn't learnt from."""
    return type in ("id", "ignored")
