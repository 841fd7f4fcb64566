"""Tar shards as WebDataset writes them: files of one name, told apart by their suffixes, are one thing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from contrapose.data.cache import DIGEST, cached
from contrapose.data.cells import NamedBytes
from contrapose.data.shards import shards_of
from contrapose.data.table import Columns, TableReader, map_table
from contrapose.data.tarindex import MEMBER, index_of
from contrapose.errors import DataError
from contrapose.types import Modality


class TarReader(TableReader):
    """Samples from local tar files: ``a/cat.left.x`` and ``a/cat.json`` are of one thing, ``a/cat``.

    Columns are the suffixes (``x``, ``left.x``), the keys of ``.json`` files, ``cls``, ``__key__`` (``a/cat``) and ``__url__``
    (the shard). A modality that is given no column, and has none of its name, takes the files whose last suffix is among its
    ``extensions``. Where each file lies is found once and kept in the cache, so that samples are read at random, and order and
    resume are as exact as a manifest's. Ids follow the order of the shards, and in a shard that of each thing's first file.

    Args:
        path: a file, or several as ``data/{000..099}.tar`` or ``data/*.tar``.
        base: the folder that a relative path starts from, if it is there.

    Raises:
        DataError: a shard is missing, compressed, cut short or no tar.
    """

    def __init__(
        self,
        path: str | Path,
        modalities: Mapping[str, Modality],
        columns: Columns,
        meta: Mapping[str, str] | None = None,
        vocabularies: Mapping[str, Sequence[str]] | None = None,
        base: Path | None = None,
    ) -> None:
        self.shards = shards_of(str(path), base)
        file = cached(str(path), self.shards, partial(index_of, self.shards))
        index = map_table(file)
        taken = {m: _own(index.schema, m, modalities) for m, spec in columns.items() if spec is None}
        said = {c for spec in columns.values() if spec is not None for c in ([spec] if isinstance(spec, str) else spec)}
        opener = partial(_joined, file, {m: own for m, own in taken.items() if own}, said)
        digest = index.schema.metadata[DIGEST].decode()
        super().__init__(opener(), modalities, columns, meta, self.shards[0].parent, digest, vocabularies, opener)

    def holds_files(self, column: str) -> bool:
        """Whether the cells of a column are files in the shards."""
        return self.table.schema.field(column).type == MEMBER

    def cell(self, column: str, row: int) -> Any:
        """A raw cell; a file is read from its shard. Raises `DataError` where it can't be."""
        cell = super().cell(column, row)
        if cell is None or not self.holds_files(column):
            return cell
        shard = self.shards[cell["shard"]]
        try:
            with open(shard, "rb") as file:  # for each file anew: workers that were forked would share a position
                file.seek(cell["offset"])
                data = file.read(cell["size"])
        except OSError as error:
            raise DataError(f"{shard}: {error.strerror}") from None
        if len(data) < cell["size"]:
            raise DataError(f"{shard}: {cell['path']} is cut short")
        return NamedBytes(data, cell["path"])


def _own(schema: pa.Schema, modality: str, modalities: Mapping[str, Modality]) -> list[str]:
    """The columns of files that a modality reads by their suffixes; none where a column bears its name."""
    extensions = getattr(modalities.get(modality), "extensions", ())
    if modality in schema.names:
        return []
    return [f.name for f in schema if f.type == MEMBER and f".{f.name.rpartition('.')[2].lower()}" in extensions]


def _joined(file: Path, taken: Mapping[str, Sequence[str]], said: set[str]) -> pa.Table:
    """The index, where modalities' own columns stand for the suffixes that they take: the first that a thing has."""
    table = map_table(file)
    for modality, columns in taken.items():
        table = table.append_column(modality, pc.coalesce(*(table.column(c) for c in columns)))
    return table.drop_columns([c for c in dict.fromkeys(c for own in taken.values() for c in own) if c not in said])
