"""Whether other data are of the schema that was fitted: a column may be blank, or have a bad cell, but not another type."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from contrapose.errors import DataError
from contrapose_tabular.cells import is_blank
from contrapose_tabular.schema import Column, Schema

LOOKED_AT = 1000
"""How many rows are looked at."""


def require_alike(schema: Schema, rows: Sequence[Mapping[str, Any]]) -> None:
    """Raise ``DataError`` for the first column that no row has, or of which every cell is refused by the schema."""
    for column in schema.columns:
        if rows and not any(column.source in row for row in rows):
            raise DataError(f"the data have no column {column.source!r}, which the training split has")
        cells = [row[column.source] for row in rows if not is_blank(row.get(column.source))]
        errors = [error for cell in cells if (error := _refusal(column, cell)) is not None]
        if errors and len(errors) == len(cells):
            raise DataError(f"{errors[0]}, and so in all {len(cells):,} cells looked at: its type has changed")


def _refusal(column: Column, cell: Any) -> DataError | None:
    try:
        column.code(cell)
    except DataError as error:
        return error
    return None
