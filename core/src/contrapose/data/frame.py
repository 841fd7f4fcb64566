"""A table that Python holds already: of pandas, polars, pyarrow, or whatever else speaks Arrow."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from contrapose.data.table import Columns, TableReader
from contrapose.errors import DataError
from contrapose.types import Modality

PLAIN = {pa.string_view(): pa.large_string(), pa.binary_view(): pa.large_binary()}


class FrameReader(TableReader):
    """Samples from the rows of a table in memory, by the Arrow PyCapsule interface (``__arrow_c_stream__``).

    Nothing is copied but what Arrow can't share. Paths are relative to ``root``. Each loader worker gets the table anew, so
    large ones are better written to Parquet. Raises `DataError` for what makes no table, `ConfigError` for a wrong column.
    """

    def __init__(
        self,
        frame: Any,
        modalities: Mapping[str, Modality],
        columns: Columns,
        meta: Mapping[str, str] | None = None,
        vocabularies: Mapping[str, Sequence[str]] | None = None,
        root: Path | None = None,
    ) -> None:
        table = as_table(frame)
        super().__init__(table, modalities, columns, meta, root or Path(), _digest(table), vocabularies)


def is_frame(data: Any) -> bool:
    """Whether an object is a table that can be read by ``as_table``."""
    return hasattr(data, "__arrow_c_stream__")


def as_table(frame: Any) -> pa.Table:
    """An object's rows as an Arrow table of plain columns, without what only one library knows. Raises `DataError`."""
    try:
        table = pa.table(frame)
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        said = " ".join(str(error).split())[:300]
        raise DataError(f"this {type(frame).__name__} can't be read as a table: {said}") from None
    twice = next((n for n in table.schema.names if table.schema.names.count(n) > 1), None)
    if twice is not None:
        raise DataError(f"this {type(frame).__name__} has the column {twice!r} twice")
    return pa.table([_decoded(column) for column in table.columns], table.schema.names)


def _decoded(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A column of plain values. A dictionary's own are made plain first: Arrow takes nothing from one of views, as polars has."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        column = column.cast(pa.dictionary(kind.index_type, _plain(kind.value_type)))
    return column.cast(_plain(kind))


def _plain(kind: pa.DataType) -> pa.DataType:
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return PLAIN.get(kind, kind)


def _digest(table: pa.Table) -> str:
    """Equal for equal tables, however they are cut into parts."""
    sink = _Hash()
    with pa.ipc.new_stream(pa.PythonFile(sink, mode="w"), table.schema) as writer:
        writer.write_table(table.combine_chunks())
    return sink.hash.hexdigest()


class _Hash:
    """A file that only keeps the digest of what is written."""

    closed = False

    def __init__(self) -> None:
        self.hash = hashlib.blake2b(digest_size=16)

    def write(self, data: Any) -> int:
        self.hash.update(data)
        return len(data)

    def flush(self) -> None: ...
