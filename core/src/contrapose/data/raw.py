"""The raw cells of a modality in a table: row by row, or column by column where there are many."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    from contrapose.data.table import TableReader

ROWS = 1 << 16
"""The most rows of a batch."""


@dataclass(frozen=True)
class TableCells:
    """The cells of the samples that have a modality, as a mapping a sample, as often as one iterates.

    ``names`` are all columns of the table, whoever reads them.
    """

    reader: TableReader
    columns: Sequence[str]

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        rows = (self.reader.cells_of(self.columns, int(row)) for row in self.reader.ids)
        return (cells for cells in rows if cells is not None)

    @property
    def names(self) -> Sequence[str]:
        """All columns of the table."""
        return self.reader.column_names

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The same cells by column, in the order of the table: a batch for each part of it, so that memory stays flat."""
        return (batch for _, batch in self.parts())

    def parts(self) -> Iterator[tuple[np.ndarray, pa.RecordBatch]]:
        """``batches``, each with its rows of the table (n,) int64."""
        rows = np.sort(self.reader.ids)
        start = 0
        for batch in self.reader.table.select(self.columns).to_batches(max_chunksize=ROWS):
            stop = start + len(batch)
            own = rows[np.searchsorted(rows, start) : np.searchsorted(rows, stop)] - start
            has = np.logical_or.reduce([c.is_valid().to_numpy(zero_copy_only=False) for c in batch.columns])
            if len(own := own[has[own]]):
                yield own + start, batch if len(own) == len(batch) else batch.take(pa.array(own))
            start = stop
