"""Datasets of the package ``datasets`` (Hugging Face), which is imported when the first one is opened."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import pyarrow as pa
from pydantic import Field

from contrapose.data.cells import NOWHERE
from contrapose.data.failure import one_line
from contrapose.data.hfcard import check_dataset
from contrapose.data.stream import Found, RowStream
from contrapose.data.table import Columns, TableReader, as_cell
from contrapose.errors import ConfigError, DataError, PluginError
from contrapose.types import Modality

BUILDERS = {".parquet": "parquet", ".csv": "csv", ".tsv": "csv", ".json": "json", ".jsonl": "json", ".arrow": "arrow"}
"""What reads a file, by its suffix."""
DAMAGED = (pa.ArrowException, ValueError, EOFError, zlib.error, gzip.BadGzipFile)
"""What damaged files end in."""
BATCH = 64
"""So many rows of a stream are taken at a time."""


def hugging_face(
    path: str,
    modalities: Mapping[str, Modality],
    columns: Columns,
    meta: Mapping[str, str] | None = None,
    vocabularies: Mapping[str, Sequence[str]] | None = None,
    split: str | None = None,
    name: str | None = None,
    streaming: bool = False,
    samples: Annotated[int, Field(ge=1)] | None = None,
) -> HuggingFaceReader | HuggingFaceStream:
    """Samples from a dataset of the package ``datasets``, by position, or ``streaming``.

    Args:
        path: a folder that ``save_to_disk`` wrote, a folder of Parquet or other files, such a file, or a name on the hub where
            the machine is online.
        split: one of the dataset's parts, needed where there are several, or ``all``: then a column ``split`` names each row's.
        name: the configuration of a dataset that has several.
        streaming: read an iterable dataset, shard by shard, of which nothing is downloaded or converted first.
        samples: how many samples of a stream an epoch counts; without it ``train.steps`` is one epoch.
    """
    if streaming:
        return HuggingFaceStream(path, modalities, columns, meta, split, name, samples)
    if samples is not None:
        raise ConfigError("is for streams: data by position know their number", ("samples",))
    return HuggingFaceReader(path, modalities, columns, meta, vocabularies, split, name)


class HuggingFaceReader(TableReader):
    """Samples from a dataset of the package ``datasets``, memory-mapped, in its rows' order.

    Columns of encoded files reach their modality as bytes with their names, undecoded; labels keep their codes and names.

    Raises:
        ConfigError: there is no such split.
        DataError: the dataset can't be read.
        PluginError: ``datasets`` isn't installed.
    """

    def __init__(
        self,
        path: str,
        modalities: Mapping[str, Modality],
        columns: Columns,
        meta: Mapping[str, str] | None = None,
        vocabularies: Mapping[str, Sequence[str]] | None = None,
        split: str | None = None,
        name: str | None = None,
    ) -> None:
        parts = _load(path, name, split)
        digest = "".join(f"{part}:{dataset._fingerprint} " for part, dataset in parts.items())
        opener = partial(_table, path, name, split)
        super().__init__(_joined(parts), modalities, columns, meta, _root(path), digest, vocabularies, opener)
        features = next(iter(parts.values())).features
        for own, column in (meta or {}).items():
            if names := getattr(features.get(column), "names", None):
                self.vocabularies[own] = list(names)


class HuggingFaceStream(RowStream):
    """Samples from an iterable dataset of the package ``datasets``, its shards (files, mostly) one after another.

    Cells are as `HuggingFaceReader` gives them. Raises as it does.
    """

    def __init__(
        self,
        path: str,
        modalities: Mapping[str, Modality],
        columns: Columns,
        meta: Mapping[str, str] | None = None,
        split: str | None = None,
        name: str | None = None,
        samples: int | None = None,
    ) -> None:
        if split == "all":
            raise ConfigError("a stream reads one split; name it", ("split",))
        ((part, dataset),) = _parts(path, name, split, streaming=True).items()
        self._dataset = dataset.with_format("arrow")  # which decodes nothing
        count = dataset.num_shards
        super().__init__([f"{path}, {part}, shard {i}" for i in range(count)], modalities, columns, meta, samples)
        self.root = _root(path)
        for own, column in (meta or {}).items():
            if names := getattr((dataset.features or {}).get(column), "names", None):
                self.vocabularies[own] = list(names)

    def found(self, shard: int, start: int) -> Iterator[Found]:
        """See the base class."""
        part = self._dataset.shard(num_shards=len(self.shards), index=shard)
        try:
            for table in part.skip(start).iter(batch_size=BATCH):
                columns = [(name, table.column(name)) for name in table.schema.names]
                for i in range(len(table)):
                    yield {name: as_cell(column[i]) for name, column in columns}, []
        except MemoryError:
            raise
        except ImportError as error:
            raise PluginError(f"{self.shards[shard]}: {one_line(error)}") from error
        except Exception as error:
            plain = type(error) is OSError and error.errno is None  # as Arrow has it for damaged data
            if isinstance(error, OSError) and not plain and not isinstance(error, gzip.BadGzipFile):
                raise
            if plain or isinstance(error, DAMAGED):
                raise DataError(f"{self.shards[shard]}: cut short or damaged: {one_line(error)}") from error
            raise OSError(one_line(error)) from error  # a server's, whose packages have kinds of their own


def _root(path: str) -> Path:
    """Where cells may name files: in the dataset's folder, which one on a hub hasn't here."""
    place = Path(path)
    return place if place.is_dir() else place.parent if place.is_file() else NOWHERE


def _table(path: str, name: str | None, split: str | None) -> pa.Table:
    return _joined(_load(path, name, split))


def _load(path: str, name: str | None, split: str | None) -> dict[str, Any]:
    """Datasets by split, their rows in the order of their tables."""
    return {
        part: dataset.flatten_indices() if dataset._indices is not None else dataset
        for part, dataset in _parts(path, name, split).items()
    }


def _parts(path: str, name: str | None, split: str | None, streaming: bool = False) -> dict[str, Any]:
    """Datasets by split: the one that is asked for, or all of them."""
    try:
        import datasets
    except ImportError as error:
        raise PluginError(f"reading {path} needs the package datasets ({error}): pip install contrapose[hf]") from error
    place = Path(path)
    check_dataset(path)
    try:
        if (place / "dataset_dict.json").is_file() or (place / "state.json").is_file():
            if streaming:
                raise ConfigError("what save_to_disk wrote is read by position; leave streaming out", ("streaming",))
            found = datasets.load_from_disk(path)
        elif place.is_file():
            if place.suffix.lower() not in BUILDERS:
                raise DataError(f"{path}: a file for datasets ends in {', '.join(BUILDERS)}")
            found = datasets.load_dataset(BUILDERS[place.suffix.lower()], data_files=path, streaming=streaming)
        else:
            found = datasets.load_dataset(path, name, streaming=streaming)
    except (DataError, ConfigError):
        raise
    except Exception as error:  # a missing file, a broken one, no network: the package raises a kind for each
        raise DataError(f"{path}: datasets can't read it: {one_line(error)}") from error
    parts = dict(found) if isinstance(found, dict) else {str(found.split or "train"): found}
    if split is None and len(parts) > 1:
        raise ConfigError(
            f"{path} has the splits {', '.join(parts)}; name one by split{'' if streaming else ', or all by split: all'}",
            ("split",),
        )
    if split not in (None, "all", *parts):
        raise ConfigError(f"{path} has no split {split!r}; there is {', '.join(parts)}", ("split",))
    return {split: parts[split]} if split is not None and split in parts else parts


def _joined(parts: Mapping[str, Any]) -> pa.Table:
    """The parts one after the other, with a column ``split`` where there are several."""
    tables = {name: dataset.data.table.replace_schema_metadata(None) for name, dataset in parts.items()}
    if len(tables) == 1:
        return next(iter(tables.values()))
    named = [
        table if "split" in table.schema.names else table.append_column("split", pa.array([name] * len(table)))
        for name, table in tables.items()
    ]
    try:
        return pa.concat_tables(named)
    except pa.ArrowException as error:
        raise DataError(
            f"its splits have unlike columns, so name one by split: {' '.join(str(error).split())[:200]}"
        ) from None
