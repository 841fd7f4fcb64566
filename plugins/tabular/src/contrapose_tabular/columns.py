"""Cells by column to what a schema makes of them: numbers by numpy, of the rest each distinct cell once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from contrapose.data.table import as_cell
from contrapose.errors import DataError
from contrapose_tabular.schema import FIRST, Categorical, Moment, Numeric, Part, Schema

_EXACT = ("s", "ms", "us")
"""Units of time that a Python datetime holds."""


def by_column(schema: Schema, batch: pa.RecordBatch) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """``numeric`` (n, F) float32 and ``categories`` (n, C) int64 of a batch that has the schema's columns.

    Each cell is what ``code`` makes of it. Raises ``DataError`` where ``code`` does.
    """
    cells = {name: batch.column(name) for name in schema.sources}
    numeric = np.empty((len(batch), len(schema.numeric)), np.float32)
    categories = np.empty((len(batch), len(schema.categorical)), np.int64)
    for n, number in enumerate(schema.numeric):
        numeric[:, n] = _numbers(number, cells[number.source])
    for n, category in enumerate(schema.categorical):
        categories[:, n] = _codes(category, cells[category.source])
    return numeric, categories


def cell_of(cell: pa.Scalar) -> Any:
    """An Arrow value as ``as_cell`` gives it; a time that Python can't hold as text that is no time, for ``code`` to refuse."""
    try:
        return as_cell(cell)
    except (OverflowError, ValueError):  # beyond the years 1 to 9999, or in a zone that isn't known here
        zone = getattr(cell.type, "tz", None)
        text = (
            (cell.cast(pa.timestamp(cell.type.unit)) if zone else cell)
            .cast(pa.string())
            .as_py()
            .removesuffix(".000000")
        )
        text = f"{cell.value} of {cell.type}" if text.startswith("<") else text  # beyond Arrow's calendar, too
        return f"{text} UTC in {zone}" if zone else f"{text} (Python holds the years 1 to 9999)"


def microseconds(cells: pa.Array) -> pa.Array:
    """Dates or times as times in microseconds, in their own zone. Raises ``DataError`` for one that Python can't hold."""
    kind = cells.type
    if pa.types.is_timestamp(kind) and kind.unit not in _EXACT:  # nanoseconds, which end in the year 2262
        return cells.cast(pa.timestamp("us", kind.tz), safe=False)
    ends = pc.min_max(cells)
    for end in (ends["min"], ends["max"]):
        if isinstance(found := cell_of(end), str):
            raise DataError(f"a time beyond the calendar: {found}")
    return cells.cast(pa.timestamp("us", getattr(kind, "tz", None)))


def _numbers(column: Numeric, cells: pa.Array) -> NDArray[np.float64]:
    kind = cells.type
    if isinstance(column, Moment):
        if not _is_time(kind):
            return _each(column, cells, np.float64)
        numbers = _floats(microseconds(cells).cast(pa.int64())) / 1e6
    elif (pa.types.is_integer(kind) or pa.types.is_floating(kind)) and column.cells in (None, "number"):
        numbers = _floats(cells)
    else:
        return _each(column, cells, np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        z = (numbers - column.mean) / column.std
        beyond = ~np.isnan(numbers) & ~(np.abs(z) <= np.finfo(np.float32).max)
    if beyond.any():
        column.code(cell_of(cells[int(beyond.argmax())]))
    return z


def _codes(column: Categorical, cells: pa.Array) -> NDArray[np.int64]:
    if not (isinstance(column, Part) and _is_time(cells.type)):
        return _each(column, cells, np.int64)
    times = microseconds(cells)
    part = column.name.rpartition(".")[2]
    found = {"month": pc.month, "weekday": pc.day_of_week, "hour": pc.hour}[part](times)
    first = 1 if part == "month" else 0
    return pc.fill_null(pc.add(found, FIRST - first), 0).to_numpy(zero_copy_only=False)


def _each(column: Numeric | Categorical, cells: pa.Array, dtype: Any) -> NDArray[Any]:
    """Of each distinct cell once; of what Arrow can't tell apart, of each."""
    try:
        encoded = cells.dictionary_encode(null_encoding="encode")
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid):
        return np.array([column.code(cell_of(cell)) for cell in cells], dtype)
    codes = np.array([column.code(cell_of(cell)) for cell in encoded.dictionary], dtype)
    return codes[encoded.indices.to_numpy(zero_copy_only=False)]


def _floats(cells: pa.Array) -> NDArray[np.float64]:
    """NaN for null; whole numbers are rounded as Python rounds them."""
    values = cells.fill_null(0).to_numpy(zero_copy_only=False).astype(np.float64)
    values[cells.is_null().to_numpy(zero_copy_only=False)] = np.nan
    return values


def _is_time(kind: pa.DataType) -> bool:
    return pa.types.is_date(kind) or (pa.types.is_timestamp(kind) and kind.unit in _EXACT)
