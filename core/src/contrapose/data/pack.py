"""Writing a packed dataset: the rows of any table reader or stream, with the files that they name within them."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path, PurePath
from typing import Any

import pyarrow as pa

from contrapose.data.cells import NamedBytes, cell_name, cell_path, read_bytes
from contrapose.data.folder import FolderReader
from contrapose.data.formats import BATCH_BYTES, BATCH_ROWS
from contrapose.data.packed import FILE, INDEX, SOURCE, VERSION, shard_name
from contrapose.data.stream import HEAD, RowStream
from contrapose.data.table import TableReader
from contrapose.errors import DataError
from contrapose.types import Modality

_OURS = re.compile(r"shard-\d{5,}\.arrow|\.pack\.json")
"""What a packing that was not finished leaves."""


@dataclass
class Packed:
    """What was written: ``rows`` in ``shards`` of so many ``bytes``; a line for each file that is ``missing``."""

    rows: int = 0
    shards: int = 0
    bytes: int = 0
    missing: list[str] = field(default_factory=list)


def pack(
    reader: TableReader | RowStream, modalities: Mapping[str, Modality], folder: Path, shard_bytes: int = 1 << 29
) -> Packed:
    """Write every row of ``reader``, with all columns, into shards of about ``shard_bytes`` in ``folder``.

    A stream is read twice, in the order of its shards: first for its columns, which may come up as late as in its last row.

    In the columns of its modalities, strings that name files become the files' content with their names, ``NamedBytes`` when
    they are read. A string names a file if it ends in one of its modality's ``extensions``, or if it holds a dot or a slash and
    such a file is there. A file that can't be read stays the name that it is. The modalities of a `FolderReader` become columns of
    their own names. Raises `DataError` for a folder that holds something, or that can't be written to.
    """
    left = list(folder.iterdir()) if folder.is_dir() else []
    if any(not _OURS.fullmatch(file.name) for file in left):
        raise DataError(f"{folder} holds something already; choose another folder")
    done = Packed()
    source = reader.fingerprint()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for file in left:  # shards of a packing that was not finished, as the index comes last
            file.unlink()
        made = _StreamRows if isinstance(reader, RowStream) else _Rows
        rows = made(reader, modalities, done.missing, min(shard_bytes, BATCH_BYTES))  # type: ignore[arg-type]
        shards = list(_write(rows, source, folder, shard_bytes))
        done.rows = sum(s["rows"] for s in shards)
        digest = hashlib.blake2b("".join(s["digest"] for s in shards).encode(), digest_size=16).hexdigest()
        index = {"version": VERSION, "source": source, "digest": digest, "rows": done.rows, "shards": shards}
        temp = folder / f".{INDEX}"
        temp.write_text(json.dumps(index, indent=1), encoding="utf-8")
        os.replace(temp, folder / INDEX)
    except OSError as error:
        raise DataError(f"can't write to {folder}: {error.strerror or error}") from None
    except pa.ArrowException as error:  # lists of lists of lists
        raise DataError(f"a row can't be packed: {' '.join(str(error).split())[:200]}") from None
    done.shards, done.bytes = len(shards), sum(s["bytes"] for s in shards)
    return done


def _write(rows: _Rows, source: str, folder: Path, shard_bytes: int) -> Iterator[dict[str, Any]]:
    """Write the shards, and give what the index says of each."""
    schema = rows.schema.with_metadata({SOURCE: source.encode()})
    batches = iter(rows)
    batch = next(batches, None)
    number = 0
    while batch is not None:
        file, count, size = folder / shard_name(number), 0, 0
        with pa.OSFile(str(file), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
            while batch is not None and (not size or size + batch.nbytes <= shard_bytes):
                writer.write_batch(batch)
                count, size = count + batch.num_rows, size + batch.nbytes
                batch = next(batches, None)
        with open(file, "rb") as written:
            digest = hashlib.file_digest(written, "blake2b").hexdigest()[:32]
        yield {"name": file.name, "rows": count, "bytes": file.stat().st_size, "digest": digest}
        number += 1


class _Rows:
    """The rows of a reader's table in batches of about ``limit`` bytes, files in the place of their names."""

    schema: pa.Schema

    def __init__(self, reader: TableReader, modalities: Mapping[str, Modality], missing: list[str], limit: int) -> None:
        self.reader, self.missing, self.limit = reader, missing, limit
        self.root = reader.root
        table = reader.table
        self.files: dict[str, tuple[str, ...]] = {c: () for c in table.schema.names if reader.holds_files(c)}
        for modality, columns in reader.columns.items():
            extensions = tuple(getattr(modalities[modality], "extensions", ()))
            self.files |= {c: extensions for c in columns if self._names_files(table, c, extensions)}
        self.names = _new_names(reader)
        self.schema = pa.schema(
            [(self.names.get(f.name, f.name), FILE if f.name in self.files else _plain(f.type)) for f in table.schema]
        )

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        start = 0
        for batch in self.reader.table.to_batches(max_chunksize=BATCH_ROWS):
            rows = max(1, int(self.limit * batch.num_rows / max(1, batch.nbytes)))
            for first in range(0, batch.num_rows, rows):
                part = batch.slice(first, rows)
                yield from self._embedded(part, start + first) if self.files else [self._batch(part, {})]
            start += batch.num_rows

    def _embedded(self, part: pa.RecordBatch, start: int) -> Iterator[pa.RecordBatch]:
        """Batches of the rows from ``start`` on, each ended when its files reach the limit."""
        first, size = 0, 0
        cells: dict[str, list[dict[str, Any] | None]] = {column: [] for column in self.files}
        for i in range(part.num_rows):
            for column, found in cells.items():
                found.append(self._file(self.reader.cell(column, start + i), column, start + i))
                size += len((found[-1] or {}).get("bytes") or b"")
            if size >= self.limit or i == part.num_rows - 1:
                yield self._batch(part.slice(first, i + 1 - first), cells)
                first, size, cells = i + 1, 0, {column: [] for column in self.files}

    def _batch(self, part: pa.RecordBatch, cells: Mapping[str, Sequence[Any]]) -> pa.RecordBatch:
        columns = [
            pa.array(cells[name], FILE) if name in cells else part.column(name).cast(field.type)
            for name, field in zip(part.schema.names, self.schema, strict=True)
        ]
        return pa.record_batch(columns, schema=self.schema)

    def _file(self, cell: Any, column: str, row: int) -> dict[str, Any] | None:
        if cell is None:
            return None
        if isinstance(cell, bytes):
            return {"bytes": bytes(cell), "path": cell_name(cell, "") or None}
        if not self._names_file(cell, self.files[column]):
            return {"bytes": None, "path": cell}
        try:
            return {"bytes": read_bytes(cell, self.root), "path": cell}
        except DataError as error:
            self.missing.append(f"row {row}, {self.names.get(column, column)}: {error}")
            return {"bytes": None, "path": cell}

    def _names_files(self, table: pa.Table, column: str, extensions: tuple[str, ...]) -> bool:
        kind = table.schema.field(column).type
        if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
            return False
        cells = (self.reader.cell(column, row) for row in range(len(table)))
        return any(isinstance(cell, str) and self._names_file(cell, extensions) for cell in cells)

    def _names_file(self, cell: str, extensions: tuple[str, ...]) -> bool:
        if "\n" in cell or "\0" in cell:
            return False
        # Most cells are text that names nothing: a Path is made where something speaks for a file alone.
        lower = cell.lower()
        if any(ending in lower for ending in extensions) and PurePath(cell).suffix.lower() in extensions:
            return True
        if ("." not in cell and "/" not in cell) or not os.path.isfile(os.path.join(self.root, os.path.normpath(cell))):
            return False
        try:
            return cell_path(cell, self.root).is_file()
        except (DataError, OSError):
            return False


class _StreamRows(_Rows):
    """The rows of a stream, likewise."""

    def __init__(self, reader: RowStream, modalities: Mapping[str, Modality], missing: list[str], limit: int) -> None:
        self.stream, self.missing, self.limit = reader, missing, limit
        self.root, self.names, self.files = reader.root, {}, {}
        suffixes: dict[str, tuple[str, ...]] = {}
        for modality, columns in reader.columns.items():
            suffixes |= dict.fromkeys(columns, tuple(getattr(modalities[modality], "extensions", ())))
        types: dict[str, pa.DataType] = {}
        rows = enumerate(reader.all())
        while some := list(islice(rows, HEAD)):
            missing += [f"row {row}, {what}: {error}" for row, raw in some for what, error in raw.failed]
            for name in dict.fromkeys(column for _, raw in some for column in raw.cells):
                values = [raw.cells.get(name) for _, raw in some]
                if any(self._holds_file(value, suffixes.get(name)) for value in values):
                    self.files[name] = suffixes.get(name, ())
                types[name] = _common(name, types.get(name, pa.null()), values)
        self.schema = pa.schema([(name, FILE if name in self.files else kind) for name, kind in types.items()])

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        rows: list[list[Any]] = []
        size = 0
        for number, raw in enumerate(self.stream.all()):
            cells = [raw.cells.get(name) for name in self.schema.names]
            files = zip(cells, self.schema.names, strict=True)
            rows.append([self._file(cell, name, number) if name in self.files else cell for cell, name in files])
            size += sum(len(cell) if isinstance(cell, (str, bytes)) else getattr(cell, "nbytes", 8) for cell in cells)
            if size >= self.limit:
                yield self._made(rows)
                rows, size = [], 0
        if rows:
            yield self._made(rows)

    def _made(self, rows: Sequence[Sequence[Any]]) -> pa.RecordBatch:
        columns = zip(zip(*rows, strict=True), self.schema, strict=True)
        return pa.record_batch([pa.array(cells, field.type) for cells, field in columns], schema=self.schema)

    def _holds_file(self, cell: Any, extensions: tuple[str, ...] | None) -> bool:
        named = isinstance(cell, str) and extensions is not None
        return isinstance(cell, NamedBytes) or (named and self._names_file(cell, extensions or ()))


def _common(column: str, kind: pa.DataType, values: Sequence[Any]) -> pa.DataType:
    """A type for what has this type and for the values, files aside. Raises `DataError`."""
    try:
        found = pa.array([None if isinstance(value, NamedBytes) else value for value in values]).type
        schemas = [pa.schema([(column, one)]) for one in (kind, found)]
        return pa.unify_schemas(schemas, promote_options="permissive").field(0).type
    except (pa.ArrowException, TypeError, OverflowError, UnicodeError) as error:
        why = " ".join(str(error).split())[:200]
        raise DataError(f"the stream mixes types in {column!r}, which no packed column can hold: {why}") from None


def _new_names(reader: TableReader) -> dict[str, str]:
    """What columns are called, where they are called otherwise than before."""
    return {c: m for m, (c,) in reader.columns.items()} if isinstance(reader, FolderReader) else {}


def _plain(kind: pa.DataType) -> pa.DataType:
    """Dictionaries as their values: each batch of an Arrow file would need the same one."""
    return kind.value_type if pa.types.is_dictionary(kind) else kind
