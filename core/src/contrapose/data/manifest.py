"""A manifest: a table where each row is one thing and its columns are its modalities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from contrapose.data.cache import DIGEST, arrow_file
from contrapose.data.formats import FORMATS
from contrapose.data.table import Columns, TableReader, map_table
from contrapose.errors import DataError, warn
from contrapose.types import Modality


class ManifestReader(TableReader):
    """Samples from a Parquet, CSV, TSV or JSONL table, whose paths are relative to its folder.

    The table is converted once to an Arrow file in the cache and memory-mapped, so memory doesn't grow with its rows,
    and a pickled reader opens the file anew. Raises `DataError` for a table that can't be read, `ConfigError` for a
    wrong column.
    """

    def __init__(
        self,
        path: str | Path,
        modalities: Mapping[str, Modality],
        columns: Columns,
        meta: Mapping[str, str] | None = None,
        vocabularies: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        path = Path(path)
        if path.suffix.lower() not in FORMATS:
            raise DataError(f"{path}: a manifest ends in {', '.join(FORMATS)}")
        file = arrow_file(path)
        table = map_table(file)
        digest = table.schema.metadata[DIGEST].decode()
        super().__init__(table, modalities, columns, meta, path.parent, digest, vocabularies, partial(map_table, file))


def columns_there(manifest: Path, columns: Columns) -> dict[str, list[str]]:
    """The columns of those modalities of which a manifest lacks none. Raises `DataError` where it is so of none of them.

    A modality of which it has some columns alone is told, as that is no choice but a schema that has drifted.
    """
    named = {m: [m] if c is None else [c] if isinstance(c, str) else list(c) for m, c in columns.items()}
    names = set(map_table(arrow_file(manifest)).schema.names)
    there = {m: own for m, own in named.items() if names.issuperset(own)}
    if not there:
        wanted = "; ".join(f"{m}: {', '.join(own)}" for m, own in named.items())
        raise DataError(f"{manifest} has none of the run's columns ({wanted})")
    for modality, own in named.items():
        if modality not in there and not names.isdisjoint(own):
            lacking = next(c for c in own if c not in names)
            warn(f"{manifest} has no column {lacking!r}: {modality} is left out")
    return there
