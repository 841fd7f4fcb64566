"""A run's embeddings of other data, as a table that any tool reads."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from contrapose.data import open_other
from contrapose.data.table import TableReader
from contrapose.errors import DataError

if TYPE_CHECKING:
    from contrapose.engine.embed import Embeddings
    from contrapose.engine.run import Run

Head = Literal["projected", "pooled"]


@dataclass
class Written:
    """What was written: ``rows`` of the table, by modality the ``counts`` embedded and the ``sizes`` of their vectors.

    ``skipped`` has a line for each cell that is there but couldn't be embedded.
    """

    rows: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)


def write_embeddings(run: Run, data: Path, output: Path, head: Head = "pooled", batch_size: int = 256) -> Written:
    """Embed every row of a manifest, a folder, a packed folder or tar shards and write ``output`` (Parquet), in the same order.

    A modality whose columns the data lack is left out; the others become ``z_<modality>``, a fixed-size list of float32,
    null where the cell is missing or can't be read. Beside them go the data's columns of single values, and ``id``, the
    row's number, unless it has such a column. Raises ``DataError`` if the data have no column of the run's.
    """
    reader = open_data(run, data)
    table, written = embedded(run, reader, 0, len(reader), head, batch_size)
    write_whole(table, output)
    return written


def open_data(run: Run, data: Path) -> TableReader:
    """What is to be embedded. Raises ``DataError``."""
    reader = open_other(data, run.parts.modalities, run.parts.columns)
    if not isinstance(reader, TableReader):
        raise DataError(f"{data}: {type(reader).__name__} isn't a table, so it can't be embedded into one")
    return reader


def embedded(
    run: Run, reader: TableReader, start: int, stop: int, head: Head, batch_size: int
) -> tuple[pa.Table, Written]:
    """The table of the rows from ``start`` to before ``stop``."""
    rows = reader.table.slice(start, stop - start)
    made = run.embed(reader.subset(np.arange(start, stop)), head=head, batch_size=batch_size)
    kept = [f.name for f in rows.schema if not pa.types.is_nested(f.type) and not _binary(f.type)]
    result = rows.select(kept).replace_schema_metadata(None)
    if "id" not in kept:
        result = result.add_column(0, "id", pa.array(np.arange(start, stop)))
    there = [m for m in reader.columns if m in made]
    for modality in there:
        result = result.append_column(f"z_{modality}", _vectors(made[modality], start, stop - start))
    counts = {m: len(made[m]) if m in made else 0 for m in reader.columns}
    sizes = {m: made[m].z.shape[1] if m in made else 0 for m in reader.columns}
    return result, Written(stop - start, counts, sizes, _skipped(run, reader, rows, start, made))


def write_whole(table: pa.Table, output: Path) -> None:
    """Write a Parquet file, whole or not at all. Raises ``DataError`` where it can't be written."""
    temp = output.with_name(f".{output.name}.tmp")
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, temp)
        os.replace(temp, output)
    except OSError as error:
        raise DataError(f"can't write {output}: {error.strerror or error}") from None
    finally:
        temp.unlink(missing_ok=True)


def _vectors(found: Embeddings, start: int, rows: int) -> pa.Array:
    """Rows (n, D) at their places among ``rows`` from ``start`` on, the others null."""
    width = found.z.shape[1]
    dense = np.zeros((rows, width), np.float32)
    dense[found.ids - start] = found.z
    missing = np.ones(rows, bool)
    missing[found.ids - start] = False
    return pa.FixedSizeListArray.from_arrays(pa.array(dense.reshape(-1)), width, mask=pa.array(missing))


def _skipped(run: Run, reader: TableReader, rows: pa.Table, start: int, made: dict[str, Embeddings]) -> list[str]:
    """A line for each row and modality with something in its cells and no embedding; read and viewed again to say why."""
    lines, make = [], run.parts.eval_plan.maker(run.parts.run.train.seed)
    for modality, names in reader.columns.items():
        filled = np.any([rows.column(name).is_valid().to_numpy() for name in names], axis=0)
        if modality in made:
            filled[made[modality].ids - start] = False
        for row in (np.flatnonzero(filled) + start).tolist():
            sample, unread = reader.read(row)
            failed = {m: error for _, m, error in make(sample, 0)[1]} | dict(unread)
            why = " ".join(str(failed.get(modality, "no view could be made of it")).split())
            lines.append(f"row {row}, {modality}: {why}")
    return lines


def _binary(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind))
