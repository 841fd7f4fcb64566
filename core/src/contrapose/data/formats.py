"""Tables on disk as streams of Arrow batches: Parquet, CSV, TSV, JSONL."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from contrapose.config.json import parse as parse_json
from contrapose.errors import DataError

BATCH_BYTES = 1 << 24
BATCH_ROWS = 1 << 16
MISSING = ("", "NA", "N/A", "NaN", "nan", "null", "NULL", "None")
"""What counts as missing in a CSV column of numbers; in one of text only the empty cell does."""

Stream = tuple[pa.Schema, Iterator[pa.RecordBatch]]


def open_stream(path: Path) -> Stream:
    """The schema of a table, and its batches of about ``BATCH_BYTES``. Raises `DataError` with the file and any line."""
    reader = FORMATS[path.suffix.lower()]
    try:
        schema, batches = reader(path)
    except (pa.ArrowException, OSError) as error:
        raise _error(path, error) from None
    twice = next((n for n in schema.names if schema.names.count(n) > 1), None)
    if twice is not None:
        raise DataError(f"{path}: the column {twice!r} appears twice")
    return schema, _guarded(path, batches)


def _guarded(path: Path, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    try:
        yield from batches
    except (pa.ArrowException, OSError) as error:
        raise _error(path, error) from None


def _error(path: Path, error: Exception) -> DataError:
    return DataError(f"{path}: can't be read as {path.suffix[1:].lower()}: {' '.join(str(error).split())[:300]}")


def _parquet(path: Path) -> Stream:
    file = pq.ParquetFile(path)
    plain = pa.schema(
        [f.with_type(f.type.value_type) if pa.types.is_dictionary(f.type) else f for f in file.schema_arrow]
    ).remove_metadata()
    size = sum(file.metadata.row_group(i).total_byte_size for i in range(file.metadata.num_row_groups))
    rows = int(BATCH_BYTES / max(1.0, size / max(1, file.metadata.num_rows)))
    batches = file.iter_batches(batch_size=min(max(rows, 1), BATCH_ROWS))
    return plain, (batch.cast(plain) for batch in batches)


def _csv(path: Path) -> Stream:
    """Two passes: a column's type is the narrowest that fits all of it, which no first block can tell."""
    names: list[str] | None = None
    candidates: list[list[pa.DataType]] = []
    again = True
    while again:  # truth, where a later block leaves that, may not fit the numbers before it
        rows, last, again = 0, None, False
        for batch in _csv_text(path):
            first = not rows
            rows, last = rows + len(batch), batch if len(batch) else last
            names = names or batch.schema.names
            candidates = candidates or [[pa.int64(), pa.float64(), pa.bool_(), pa.string()] for _ in names]
            for column, kinds in zip(batch.columns, candidates, strict=True):
                before = kinds[0]
                while _parse(column, kinds[0]) is None:
                    kinds.pop(0)
                again |= not first and kinds[0] != before and kinds[0] == pa.bool_()
    if names is None:
        return pa.schema([]), iter(())
    if last is not None and "\n" in (last.columns[-1][-1].as_py() or "") and not _ends_in_quote(path):
        raise DataError(f"{path}: the quote that opens in row {rows + 1} is never closed, so that the rest is one cell")
    schema = pa.schema([(n, kinds[0]) for n, kinds in zip(names, candidates, strict=True)])
    batches = (
        pa.record_batch([_parse(c, f.type) for c, f in zip(b.columns, schema, strict=True)], schema=schema)
        for b in _csv_text(path)
    )
    return schema, batches


def _csv_text(path: Path) -> Iterator[pa.RecordBatch]:
    delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
    read = pa.csv.ReadOptions(block_size=BATCH_BYTES, use_threads=False)  # a single thread knows its line
    parse = pa.csv.ParseOptions(delimiter=delimiter, newlines_in_values=True)
    with open(path, "rb") as file:
        if file.read(2) in (b"\xff\xfe", b"\xfe\xff"):
            raise DataError(f"{path}: it is UTF-16; save it as UTF-8")
        file.seek(0)
        header = pa.csv.open_csv(file, read, parse).schema.names
    other = {";": "semicolons", "\t": "tabs"}.get(next((c for c in ";\t" if c in header[0]), ""), "")
    if other and len(header) == 1:
        raise DataError(
            f"{path}: one column, {header[0]!r:.60}, seems to be several, parted by {other}: save it with commas, or with "
            "tabs as .tsv"
        )
    as_text = pa.csv.ConvertOptions(
        column_types=dict.fromkeys(header, pa.string()), strings_can_be_null=True, null_values=[""]
    )
    with open(path, "rb") as file:
        yield from pa.csv.open_csv(file, read, parse, as_text)


def _ends_in_quote(path: Path) -> bool:
    """Whether a file does, but for ends of lines: a last cell of several lines that is closed ends so."""
    with open(path, "rb") as file:
        file.seek(max(0, path.stat().st_size - 64))
        return file.read().rstrip().endswith(b'"')


def _parse(column: pa.Array, kind: pa.DataType) -> pa.Array | None:
    """Text as ``kind``, or None where it doesn't fit."""
    if kind == pa.string():
        return column
    words = pa.array(MISSING)
    try:
        return pc.if_else(pc.is_in(column, words), pa.scalar(None, pa.string()), column).cast(kind)
    except pa.ArrowInvalid:
        return None


def _jsonl(path: Path) -> Stream:
    """Two passes, as for CSV: a key may first appear in the last line."""
    schema = pa.schema([])
    for rows, lines in _json_rows(path):
        try:
            schema = _joined(schema, rows)
        except _UNFIT as error:
            told = f"{path}: lines up to {lines[-1]} mix types in a column: {error}"
            raise _unfit(path, schema, rows, lines) or DataError(told) from None
    return schema, (b for rows, _ in _json_rows(path) for b in pa.Table.from_pylist(rows, schema=schema).to_batches())


_UNFIT = (pa.ArrowException, TypeError, OverflowError, UnicodeEncodeError)


def _unfit(path: Path, schema: pa.Schema, rows: list[dict[str, Any]], lines: list[int]) -> DataError | None:
    """What the first row is that doesn't go with those before it; None where only all together tell."""
    for row, line in zip(rows, lines, strict=True):
        try:
            schema = _joined(schema, [row])
        except OverflowError:
            return DataError(f"{path}:{line}: a whole number beyond 64 bits; write it as text")
        except UnicodeEncodeError as error:
            return DataError(f"{path}:{line}: half a character, {error.object!r:.40}: not UTF-8")
        except _UNFIT as error:
            return DataError(f"{path}:{line}: mixes types in a column: {error}")
    return None


def _joined(schema: pa.Schema, rows: list[dict[str, Any]]) -> pa.Schema:
    return pa.unify_schemas([schema, _keys(rows)], promote_options="permissive")


def _keys(rows: list[dict[str, Any]]) -> pa.Schema:
    """All keys of the rows, not the first row's alone, with their types."""
    keys = dict.fromkeys(k for row in rows for k in row)
    return pa.schema([(k, pa.array([row.get(k) for row in rows]).type) for k in keys])


def _json_rows(path: Path) -> Iterator[tuple[list[dict[str, Any]], list[int]]]:
    """Rows by the batch, each with the numbers of their lines."""
    rows: list[dict[str, Any]] = []
    lines: list[int] = []
    size = 0
    with open(path, "rb") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                row = parse_json(line)
            except ValueError as error:
                raise DataError(f"{path}:{number}: not JSON: {error}") from None
            if not isinstance(row, dict):
                raise DataError(f"{path}:{number}: each line must be an object {{column: value}}")
            rows.append(row)
            lines.append(number)
            size += len(line)
            if size >= BATCH_BYTES or len(rows) >= BATCH_ROWS:
                yield rows, lines
                rows, lines, size = [], [], 0
    if rows:
        yield rows, lines


FORMATS: dict[str, Callable[[Path], Stream]] = {
    ".parquet": _parquet,
    ".csv": _csv,
    ".tsv": _csv,
    ".jsonl": _jsonl,
    ".ndjson": _jsonl,
}
