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
NUMBERS = (pa.int64(), pa.uint64(), pa.float64())
"""What a CSV column of numbers may be, the narrowest first. The second keeps numbers apart that serve as names, such as hashes."""

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
    """Two passes: a column's type is the narrowest that fits all of it, which no first block can tell.

    Whole numbers that are written with zeros in front (01234) are text: they are names, which numbers would make others of.
    """
    names: list[str] | None = None
    candidates: list[list[pa.DataType]] = []
    again = True
    while again:  # what a later block leaves of a column's types may not fit the blocks before it
        rows, last, again = 0, None, False
        for batch in _csv_text(path):
            first = not rows
            rows, last = rows + len(batch), batch if len(batch) else last
            names = names or batch.schema.names
            candidates = candidates or [[*NUMBERS, pa.bool_(), pa.string()] for _ in names]
            for column, kinds in zip(batch.columns, candidates, strict=True):
                before = kinds[0]
                while _parse(column, kinds[0]) is None or (kinds[0] in NUMBERS and _padded(column)):
                    kinds.pop(0)
                again |= not first and kinds[0] != before and kinds[0] in (pa.uint64(), pa.bool_())
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


def _padded(column: pa.Array) -> bool:
    """Whether any cell is a whole number with zeros in front."""
    found = column.filter(pc.starts_with(column, "0"))
    return bool(pc.any(pc.match_substring_regex(found, "^0[0-9]+$")).as_py())


def _jsonl(path: Path) -> Stream:
    """Two passes, as for CSV: a key may first appear in the last line."""
    schema = pa.schema([])
    for rows, line in _json_rows(path):
        try:
            schema = _joined(schema, rows)
        except _UNFIT as error:
            raise _unfit(path) or DataError(f"{path}: lines up to {line} mix types in a column: {error}") from None
    return schema, (b for rows, _ in _json_rows(path) for b in pa.Table.from_pylist(rows, schema=schema).to_batches())


_UNFIT = (pa.ArrowException, TypeError, OverflowError, UnicodeEncodeError)


def _unfit(path: Path) -> DataError | None:
    """What the first line is that doesn't go with those before it; None where only a batch as a whole tells."""
    schema = pa.schema([])
    for rows, line in _json_rows(path, 1):
        try:
            schema = _joined(schema, rows)
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


def _json_rows(path: Path, most: int = BATCH_ROWS) -> Iterator[tuple[list[dict[str, Any]], int]]:
    """Rows by the batch, each with the number of its last line."""
    rows: list[dict[str, Any]] = []
    size = 0
    number = 0
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
            size += len(line)
            if size >= BATCH_BYTES or len(rows) >= most:
                yield rows, number
                rows, size = [], 0
    if rows:
        yield rows, number


FORMATS: dict[str, Callable[[Path], Stream]] = {
    ".parquet": _parquet,
    ".csv": _csv,
    ".tsv": _csv,
    ".jsonl": _jsonl,
    ".ndjson": _jsonl,
}
