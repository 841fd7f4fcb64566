"""Samples from the rows of an Arrow table: what manifests and folders have in common."""

from __future__ import annotations

import bisect
import copy
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from contrapose.data.cells import NamedBytes
from contrapose.data.columns import encode
from contrapose.data.failure import raise_if_fatal
from contrapose.data.raw import TableCells
from contrapose.errors import ConfigError, DataError, did_you_mean
from contrapose.types import Modality, Sample

Columns = Mapping[str, str | Sequence[str] | None]
"""Which column, or columns, hold a modality; None where the column bears its name."""


class LacksColumn(ConfigError):
    """The data have nothing of what a config says of a modality or of ``meta``; another dataset may."""


class TableReader:
    """Row i of a table is sample i: its cells become data by their modality, its ``meta`` columns become numbers.

    A null cell is a missing modality; one of several columns is missing only if all of its cells are. Cells reach
    ``Modality.load`` as Python values, lists of numbers as 1-D arrays, structs of ``bytes`` and ``path`` as `NamedBytes`.

    ``opener``, where it is given, maps the same ``table`` from disk anew: then a pickled reader doesn't carry the table.
    """

    def __init__(
        self,
        table: pa.Table,
        modalities: Mapping[str, Modality],
        columns: Columns,
        meta: Mapping[str, str] | None,
        root: Path,
        digest: str,
        vocabularies: Mapping[str, Sequence[str]] | None = None,
        opener: Callable[[], pa.Table] | None = None,
    ) -> None:
        self.root = root
        self.column_names: list[str] = table.schema.names
        self.vocabularies: dict[str, list[str]] = {}
        """What the codes of each coded column of ``meta`` stand for; give them to another reader to keep its codes."""
        self._table: pa.Table | None = table
        self._chunks: dict[str, tuple[list[pa.Array], list[int]]] = {}
        self._opener = opener
        self._digest = digest
        self._modalities = dict(modalities)
        self._columns = {name: self._named(name, spec) for name, spec in columns.items()}
        self._meta: dict[str, np.ndarray] = {}
        self._rows = np.arange(len(table), dtype=np.int64)
        if not len(table):
            raise DataError(f"{root}: no samples")
        for name, column in (meta or {}).items():
            self._require(column, ("meta", name))
        for name, column in (meta or {}).items():
            try:
                self._meta[name], words = encode(_names(table.column(column)), (vocabularies or {}).get(name))
            except DataError as error:
                raise ConfigError(f"{column!r}: {error}", ("meta", name)) from None
            if words is not None:
                self.vocabularies[name] = words
        pa.default_memory_pool().release_unused()  # what it took to convert a table and to number its columns

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, position: int) -> Sample:
        """The sample at a position, without the modalities that can't be read (`read` tells them)."""
        sample, failed = self.read(position)
        for modality, error in failed:
            raise_if_fatal(error, f"modality {modality!r}")
        return sample

    def read(self, position: int) -> tuple[Sample, list[tuple[str, Exception]]]:
        """The sample at a position, and (modality, error) for each that couldn't be read."""
        return self._sample(int(self._rows[position]))

    def _sample(self, row: int) -> tuple[Sample, list[tuple[str, Exception]]]:
        data: dict[str, Any] = {}
        failed: list[tuple[str, Exception]] = []
        for name, columns in self._columns.items():
            try:
                if (cells := self.cells_of(columns, row)) is not None:
                    data[name] = self._modalities[name].load(cells, self.root)
            except Exception as error:
                failed.append((name, error))
        return Sample(row, data, {name: values[row].item() for name, values in self._meta.items()}), failed

    def cells(self, modality: str) -> TableCells:
        """The raw cells of a modality, by column, of the samples that have it; as often as one iterates."""
        return TableCells(self, self._columns[modality])

    def batches(self, modality: str) -> Iterator[tuple[Any, dict[str, np.ndarray]]]:
        """The samples that have a modality, as its ``load_columns`` reads them: collated, and their ``meta``; many at a time.

        They come in the order of the table. What can't be read is left out, as among single samples.
        """
        made: Any = self._modalities[modality]
        columns = self._columns[modality]
        for rows, batch in TableCells(self, columns).parts():
            try:
                data = made.load_columns(batch, self.root)
            except DataError:  # in one row at least
                found = {row: s.data[modality] for row in rows.tolist() if modality in (s := self._sample(row)[0]).data}
                if not found:
                    continue
                rows, data = np.array([*found]), made.collate([*found.values()])
            yield data, {name: values[rows] for name, values in self._meta.items()}

    @property
    def table(self) -> pa.Table:
        """All rows, whatever the subset, with all columns; on disk where the format allows."""
        if self._table is None:
            assert self._opener is not None
            self._table = self._opener()
        return self._table

    @property
    def columns(self) -> dict[str, tuple[str, ...]]:
        """The columns of each modality that is read."""
        return dict(self._columns)

    @property
    def ids(self) -> np.ndarray:
        """Sample ids (N,) int64: rows of the table, whatever the subset."""
        return self._rows

    @property
    def meta(self) -> dict[str, np.dtype]:
        """The columns of ``Sample.meta`` and their dtypes."""
        return {name: values.dtype for name, values in self._meta.items()}

    def column(self, name: str) -> np.ndarray:
        """A column of ``meta``, or else of the table, as numbers (N,) without loading data. Raises `ConfigError`."""
        if name not in self._meta:
            self._require(name, ())
            return encode(_names(self.table.column(name)))[0][self._rows]
        return self._meta[name][self._rows]

    def words(self, name: str) -> list[str | None]:
        """A column of ``meta``, or else of the table, as text (N,), which no other rows of the table change."""
        if name in self._meta:
            known = self.vocabularies.get(name)
            values = self.column(name).tolist()
            if known is not None:
                return [None if v < 0 else known[v] for v in values]
            return [None if v == -1 or v != v else str(v) for v in values]
        self._require(name, ())
        values = _names(self.table.column(name)).take(pa.array(self._rows)).to_pylist()
        return [None if v is None else str(v) for v in values]

    def subset(self, positions: Sequence[int] | np.ndarray) -> TableReader:
        """The samples at these positions, under the same ids."""
        part = copy.copy(self)
        part._rows = self._rows[np.asarray(positions, dtype=np.int64)]
        return part

    def only(self, *modalities: str) -> TableReader:
        """The same samples, of which these modalities alone are loaded."""
        part = copy.copy(self)
        part._columns = {name: columns for name, columns in self._columns.items() if name in modalities}
        return part

    def fingerprint(self) -> str:
        """A digest of the source, of which columns are read, and of the subset: equal for equal data."""
        said = repr((self._digest, sorted(self._columns.items()), sorted(self._meta)))
        return hashlib.blake2b(said.encode() + self._rows.tobytes(), digest_size=16).hexdigest()

    def _named(self, modality: str, spec: str | Sequence[str] | None) -> tuple[str, ...]:
        names = (modality,) if spec is None else (spec,) if isinstance(spec, str) else tuple(spec)
        for name in names:
            self._require(name, ("modalities", modality))
        if modality not in self._modalities:
            raise ConfigError(f"unknown modality{did_you_mean(modality, self._modalities)}", ("modalities", modality))
        return names

    def _require(self, column: str, path: tuple[str | int, ...]) -> None:
        if column not in self.column_names:
            raise LacksColumn(f"the data have no column {column!r}{did_you_mean(column, self.column_names)}", path)

    def cells_of(self, columns: Sequence[str], row: int) -> dict[str, Any] | None:
        """The raw cells of a row of the table, None where all of them are blank."""
        cells = {column: self.cell(column, row) for column in columns}
        return cells if any(value is not None for value in cells.values()) else None

    def holds_files(self, column: str) -> bool:
        """Whether the cells of a column of the table are the contents of files."""
        return is_file(self.table.schema.field(column).type)

    def cell(self, column: str, row: int) -> Any:
        """A raw cell of the table as its modality gets it, None where it is blank."""
        if column not in self._chunks:
            found = self.table.column(column).chunks
            self._chunks[column] = found, np.cumsum([0, *map(len, found)]).tolist()
        chunks, starts = self._chunks[column]
        chunk = bisect.bisect_right(starts, row) - 1
        return as_cell(chunks[chunk][row - starts[chunk]])

    def __getstate__(self) -> dict[str, Any]:
        state = {**self.__dict__, "_chunks": {}}
        if self._opener is not None:
            state["_table"] = None
        return state


def as_cell(cell: pa.Scalar) -> Any:
    """An Arrow value as its modality gets it: files as `NamedBytes`, lists of numbers as 1-D arrays, None where it is null."""
    if is_file(cell.type) and cell.is_valid:
        data, name = cell["bytes"].as_py(), cell["path"].as_py()
        return name if data is None else data if name is None else NamedBytes(data, name)
    if isinstance(cell, (pa.ListScalar, pa.FixedSizeListScalar)) and cell.is_valid and _numeric(cell.values.type):
        return cell.values.to_numpy(zero_copy_only=False)
    try:
        return cell.as_py()
    except UnicodeDecodeError:  # text that isn't UTF-8 goes on as its bytes, for the modality to refuse or read
        return cell.as_buffer().to_pybytes()


def map_table(file: Path) -> pa.Table:
    """An Arrow file as a table that stays on disk."""
    return pa.ipc.open_file(pa.memory_map(str(file))).read_all()


def is_file(kind: pa.DataType) -> bool:
    """Whether cells of this type are files with their names: structs of ``bytes`` and ``path``."""
    return pa.types.is_struct(kind) and {kind.field(i).name for i in range(kind.num_fields)} == {"bytes", "path"}


def _names(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A column of files as their names; any other as it is."""
    return pc.struct_field(column, "path") if is_file(column.type) else column


def _numeric(kind: pa.DataType) -> bool:
    return pa.types.is_integer(kind) or pa.types.is_floating(kind)
