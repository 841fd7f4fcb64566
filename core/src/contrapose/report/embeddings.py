"""A run's embeddings of a manifest, as a table that any tool reads."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from contrapose.data.cache import arrow_file
from contrapose.data.formats import FORMATS
from contrapose.data.manifest import ManifestReader, columns_there
from contrapose.data.table import map_table
from contrapose.errors import DataError

if TYPE_CHECKING:
    from contrapose.engine.embed import Embeddings
    from contrapose.engine.run import Run


@dataclass(frozen=True)
class Written:
    """What was written: ``rows`` of the table, by modality the ``counts`` embedded and the ``sizes`` of their vectors.

    ``skipped`` has a line for each cell that is there but couldn't be embedded.
    """

    rows: int
    counts: dict[str, int]
    sizes: dict[str, int]
    skipped: list[str]


def write_embeddings(
    run: Run, data: Path, output: Path, head: Literal["projected", "pooled"] = "pooled", batch_size: int = 256
) -> Written:
    """Embed every row of a manifest and write ``output`` (Parquet), its rows in the same order.

    A modality whose columns the manifest lacks is left out; the others become ``z_<modality>``, a fixed-size list of float32,
    null where the cell is missing or can't be read. Beside them go the manifest's columns of single values, and ``id``, the
    row's number, unless it has such a column. Raises ``DataError`` if the manifest has no column of the run's.
    """
    if data.suffix.lower() not in FORMATS:
        raise DataError(f"{data}: a manifest ends in {', '.join(FORMATS)}")
    if not data.exists():
        raise DataError(f"{data}: no such file")
    table = map_table(arrow_file(data))
    there = columns_there(data, run.parts.columns)
    reader = ManifestReader(data, run.parts.modalities, there)
    made = run.embed(reader, head=head, batch_size=batch_size)
    kept = [f.name for f in table.schema if not pa.types.is_nested(f.type) and not _binary(f.type)]
    result = table.select(kept)
    if "id" not in kept:
        result = result.add_column(0, "id", pa.array(np.arange(len(table))))
    for modality, found in ((m, made[m]) for m in there if m in made):
        result = result.append_column(f"z_{modality}", _vectors(found, len(table)))
    output.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(result, output)
    return Written(
        len(table),
        {m: len(made[m]) if m in made else 0 for m in there},
        {m: made[m].z.shape[1] if m in made else 0 for m in there},
        _skipped(reader, table, there, made),
    )


def _vectors(found: Embeddings, rows: int) -> pa.Array:
    """Rows (n, D) at their places among ``rows``, the others null."""
    width = found.z.shape[1]
    dense = np.zeros((rows, width), np.float32)
    dense[found.ids] = found.z
    missing = np.ones(rows, bool)
    missing[found.ids] = False
    return pa.FixedSizeListArray.from_arrays(pa.array(dense.reshape(-1)), width, mask=pa.array(missing))


def _skipped(
    reader: ManifestReader, table: pa.Table, there: dict[str, list[str]], made: dict[str, Embeddings]
) -> list[str]:
    """A line for each row and modality with something in its cells and no embedding; read again to say why."""
    lines = []
    for modality, names in there.items():
        filled = np.any([table.column(name).is_valid().to_numpy() for name in names], axis=0)
        if modality in made:
            filled[made[modality].ids] = False
        for row in np.flatnonzero(filled).tolist():
            failed = dict(reader.read(row)[1])
            why = " ".join(str(failed.get(modality, "no view could be made of it")).split())
            lines.append(f"row {row}, {modality}: {why}")
    return lines


def _binary(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind))
