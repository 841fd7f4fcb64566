"""The raw cells of a modality in several datasets, by the run's names of its columns."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from contrapose.data.cells import PlacedStr

if TYPE_CHECKING:
    from contrapose.data.several import SeveralReader


@dataclass(frozen=True)
class SeveralCells:
    """The cells of the samples of several datasets that have a modality, as a mapping a sample, as often as one iterates."""

    reader: SeveralReader
    modality: str

    @property
    def names(self) -> Sequence[str]:
        """The columns that any of the datasets has."""
        return self.reader.column_names

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        for part, called, own in self._parts():
            for cells in own:
                names = called if len(called) == len(cells) else cells
                yield {c: _placed(v, part) for c, v in zip(names, cells.values(), strict=True)}

    @property
    def batches(self) -> Callable[[], Iterator[pa.RecordBatch]]:
        """The same by column, dataset after dataset, each with types of its own, its text as it stands.

        There is no such attribute unless each of the datasets has it.
        """
        if not all(hasattr(own, "batches") for _, _, own in self._parts()):
            raise AttributeError("some of the datasets give their cells row by row alone")
        return self._batches

    def _batches(self) -> Iterator[pa.RecordBatch]:
        for _, called, own in self._parts():
            for batch in own.batches():
                yield batch.rename_columns(list(called)) if len(called) == batch.num_columns else batch

    def _parts(self) -> Iterator[tuple[Any, Sequence[str], Any]]:
        """Of each dataset that has the modality: itself, the run's names of the columns, and the cells of its samples."""
        for k, _, rows in self.reader._shares():
            part: Any = self.reader.parts[k]
            if called := self.reader._called[k].get(self.modality, ()):
                yield part, called, part.subset(rows).cells(self.modality)


def _placed(cell: Any, part: Any) -> Any:
    return PlacedStr(cell, part.root) if isinstance(cell, str) and hasattr(part, "root") else cell
