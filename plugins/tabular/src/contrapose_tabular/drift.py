"""Whether other data are of the schema that was fitted: a column may be blank, or have a bad cell, but not another type."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

from contrapose.errors import DataError
from contrapose_tabular.cells import is_blank
from contrapose_tabular.columns import cell_of
from contrapose_tabular.schema import UNSEEN, Beyond, Column, Schema, said

LOOKED_AT = 1000
"""How many rows are looked at."""
ENOUGH = 20
"""Of how many cells it tells something that training saw not one of their words."""


def first_rows(cells: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The first rows, of a table by ``batches``: a time that Python can't hold is in one cell, and no end to the rows."""
    batches = getattr(cells, "batches", None)
    if batches is None:
        return list(islice(cells, LOOKED_AT))
    rows: list[Mapping[str, Any]] = []
    for batch in batches():
        part = batch.slice(0, LOOKED_AT - len(rows))
        values = [[cell_of(cell) for cell in column] for column in part.columns]
        rows += [dict(zip(part.schema.names, row, strict=True)) for row in zip(*values, strict=True)]
        if len(rows) == LOOKED_AT:
            break
    return rows


def require_alike(schema: Schema, rows: Sequence[Mapping[str, Any]]) -> None:
    """Raise ``DataError`` for the first column that no row has, or of which every cell is refused by the schema."""
    for column in schema.columns:
        if rows and not any(column.source in row for row in rows):
            raise DataError(f"the data have no column {column.source!r}, which the training split has")
        cells = _cells(column, rows)
        errors = [error for cell in cells if (error := _refusal(column, cell)) is not None]
        if errors and len(errors) == len(cells):
            units = all(isinstance(error, Beyond) for error in errors)
            why = "are these in another unit?" if units else "its type has changed"
            raise DataError(f"{errors[0]}, and so in all {len(cells):,} cells looked at: {why}")


def strangers(schema: Schema, rows: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Columns of words of which training saw not one, each with a line that says so."""
    found = {}
    for column in schema.categorical:
        cells = [cell for cell in _cells(column, rows) if _refusal(column, cell) is None]
        if len(cells) >= ENOUGH and all(column.code(cell) == UNSEEN for cell in cells):
            found[column.name] = (
                f"column {column.name!r}: none of the {len(cells):,} cells looked at has a word that the training split had, "
                f"{said(cells[0])} the first; all count as unseen: is it the same column?"
            )
    return found


def _cells(column: Column, rows: Sequence[Mapping[str, Any]]) -> list[Any]:
    return [row[column.source] for row in rows if not is_blank(row.get(column.source))]


def _refusal(column: Column, cell: Any) -> DataError | None:
    try:
        column.code(cell)
    except DataError as error:
        return error
    return None
