"""A manifest: a table where each row is one thing and its columns are its modalities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from contrapose.data.cache import DIGEST, arrow_file
from contrapose.data.formats import FORMATS
from contrapose.data.table import Columns, TableReader, map_table
from contrapose.errors import DataError
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
