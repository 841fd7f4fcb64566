"""A packed dataset: shards that are mapped into memory where they lie, and the index that describes them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from contrapose.config.json import parse
from contrapose.data.table import Columns, TableReader
from contrapose.errors import DataError
from contrapose.types import Modality

INDEX = "pack.json"
"""The file that makes a folder a packed dataset; it is written last."""
VERSION = 1
SOURCE = b"contrapose_pack"
"""In the metadata of a shard's schema: what it was packed from, as the index says too."""
FILE = pa.struct([("bytes", pa.large_binary()), ("path", pa.string())])
"""A file as a cell, in the form that Hugging Face datasets use."""


class PackedReader(TableReader):
    """Samples from a folder that ``contrapose pack`` wrote: Arrow files, mapped, so that memory doesn't grow with them.

    Nothing is copied or converted, so the folder may be larger than this machine's disk and lie on another's. Raises
    `DataError` where a shard is missing, cut short, or not the one that the index tells of.
    """

    def __init__(
        self,
        path: str | Path,
        modalities: Mapping[str, Modality],
        columns: Columns,
        meta: Mapping[str, str] | None = None,
        vocabularies: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        folder = Path(path)
        opener = partial(packed_table, folder)
        digest = read_index(folder)["digest"]
        super().__init__(opener(), modalities, columns, meta, folder, digest, vocabularies, opener)


def is_packed(folder: Path) -> bool:
    """Whether a folder holds a packed dataset. Raises `DataError` where its packing was not finished."""
    if (folder / INDEX).is_file():
        return True
    if (folder / shard_name(0)).is_file():
        raise DataError(f"{folder}: {INDEX} is missing, so its packing was not finished; run contrapose pack again")
    return False


def shard_name(number: int) -> str:
    """The file of a shard."""
    return f"shard-{number:05}.arrow"


def read_index(folder: Path) -> dict[str, Any]:
    """The index of a packed dataset. Raises `DataError` where it can't be read."""
    try:
        index: dict[str, Any] = parse((folder / INDEX).read_text(encoding="utf-8"))
        if index["version"] != VERSION:
            raise DataError(f"{folder / INDEX}: of version {index['version']}, where this contrapose reads {VERSION}")
        if not {"source", "digest", "shards"} <= index.keys() or not all(map(_is_ours, index["shards"])):
            raise KeyError
    except OSError as error:
        raise DataError(f"{folder / INDEX}: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise DataError(f"{folder / INDEX}: not the index of a packed dataset; pack it again") from None
    return index


def _is_ours(shard: Mapping[str, Any]) -> bool:
    """Whether what an index says of a shard is what ``contrapose pack`` writes: no file of another folder among it."""
    named = re.fullmatch(r"shard-\d+\.arrow", shard["name"]) is not None
    return named and isinstance(shard["bytes"], int) and isinstance(shard["rows"], int)


def packed_table(folder: Path) -> pa.Table:
    """All shards as one table, which stays on disk. Raises `DataError` naming the shard that doesn't fit the index."""
    index = read_index(folder)
    shards = [_map_shard(folder / shard["name"], shard, index["source"]) for shard in index["shards"]]
    unlike = next((s for s, t in zip(index["shards"], shards, strict=True) if t.schema != shards[0].schema), None)
    if unlike is not None:
        raise DataError(f"{folder / unlike['name']}: its columns aren't those of {index['shards'][0]['name']}")
    return pa.concat_tables(shards)


def _map_shard(file: Path, said: Mapping[str, Any], source: str) -> pa.Table:
    try:
        size = file.stat().st_size
        if size != said["bytes"]:
            what = "cut short" if size < said["bytes"] else "not the shard that was packed"
            raise DataError(f"{file}: {what}, {size:,} bytes where {INDEX} says {said['bytes']:,}")
        table = pa.ipc.open_file(pa.memory_map(str(file))).read_all()
        table.validate()  # the buffers are as long as they say; what lies in them is read where it is used
    except OSError as error:
        raise DataError(f"{file}: {error.strerror or error}") from None
    except pa.ArrowException as error:
        raise DataError(f"{file}: damaged ({' '.join(str(error).split())[:200]})") from None
    metadata = table.schema.metadata or {}
    if metadata.get(SOURCE, b"").decode() != source or len(table) != said["rows"]:
        raise DataError(f"{file}: not the shard that {INDEX} tells of; pack the data again")
    return table.replace_schema_metadata(None)
