"""From the ``data`` of a config to a reader."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from contrapose.config import build as component
from contrapose.data.cache import arrow_file
from contrapose.data.folder import FolderReader
from contrapose.data.formats import FORMATS
from contrapose.data.frame import FrameReader, is_frame
from contrapose.data.manifest import ManifestReader
from contrapose.data.packed import PackedReader, is_packed, packed_table
from contrapose.data.shards import ADDRESS, TAR
from contrapose.data.table import Columns, map_table
from contrapose.data.tar import TarReader
from contrapose.errors import DataError, did_you_mean, warn
from contrapose.types import Modality, Reader, StreamReader


def open_reader(
    data: Any,
    modalities: Mapping[str, Modality],
    columns: Columns,
    meta: Mapping[str, str] | None = None,
    vocabularies: Mapping[str, Sequence[str]] | None = None,
    base: Path | None = None,
    build: Callable[..., Any] = component,
) -> Reader:
    """Open a dataset.

    ``data`` is a manifest, a folder, a packed folder or tar shards (relative to ``base`` where they are there, else to the
    working folder), an address that a plugin claims (``reader_for``), ``{use: reader, ...}`` built by ``build``, a table that
    Python holds (of pandas, polars, pyarrow), or a reader already; it is a `StreamReader` where ``streaming`` is said.
    ``columns`` says which column or columns hold each modality, ``meta`` which columns become numbers, ``vocabularies`` the
    codes that a run gave to labels. Raises `DataError` or `ConfigError`.
    """
    context: dict[str, Any] = {"modalities": modalities, "columns": columns, "meta": meta, "vocabularies": vocabularies}
    if isinstance(data, Mapping):
        if isinstance(data.get("path"), str) and not re.match(ADDRESS, data["path"]):
            data = {**data, "path": str(_near(Path(data["path"]), base))}
        return build("reader", data, ("data",), **context, base=base)
    if is_frame(data):
        return FrameReader(data, **context, root=base)
    if not isinstance(data, (str, Path)):
        return data
    path = _near(Path(data), base)
    if path.is_dir():
        return PackedReader(path, **context) if is_packed(path) else FolderReader(path, **context)
    if path.suffix.lower() in FORMATS:
        return ManifestReader(path, **context)
    if (name := _claimed(str(data))) is not None:
        return build("reader", {"use": name, "uri": str(data)}, ("data",), **context, base=base)
    if re.search(TAR, str(data)):
        return TarReader(str(data), **context, base=base)
    if not path.exists():
        raise DataError(f"{data}: no such file or folder")
    raise DataError(
        f"{data}: no reader knows this kind of file; a manifest ends in {', '.join(FORMATS)}, shards in .tar"
    )


def open_other(data: str | Path, modalities: Mapping[str, Modality], columns: Columns) -> Reader:
    """Open other data than a run's own, for those of its modalities that they have.

    A modality is left out where a table lacks one of its columns; in a folder it is looked for in the subfolder named like
    its column where there is one, else everywhere. Raises `DataError` where there is nothing that the run could read.
    """
    reader = _open_other(Path(data), data, modalities, columns)
    check_cells(reader, modalities)
    return reader


def check_cells(reader: Reader, modalities: Mapping[str, Modality]) -> None:
    """Let each modality that was fitted on other data say whether these are alike (``check_cells``). Raises `DataError`."""
    if not hasattr(reader, "cells") or isinstance(reader, StreamReader):
        return
    for name in getattr(reader, "columns", ()):
        modality: Any = modalities[name]
        if hasattr(modality, "check_cells"):
            modality.check_cells(reader.cells(name), getattr(reader, "root", Path()))


def _open_other(path: Path, data: str | Path, modalities: Mapping[str, Modality], columns: Columns) -> Reader:
    if path.is_dir():
        if is_packed(path):
            names = packed_table(path).schema.names
            return PackedReader(path, modalities, _columns_there(path, names, columns))
        return FolderReader(path, modalities, _places(path, modalities, columns))
    if path.suffix.lower() in FORMATS:
        names = map_table(arrow_file(path)).schema.names
        return ManifestReader(path, modalities, _columns_there(path, names, columns))
    return open_reader(data, modalities, columns)


def _columns_there(path: Path, names: Sequence[str], columns: Columns) -> dict[str, list[str]]:
    """The columns of those modalities of which a table lacks none. Raises `DataError` where it is so of none of them.

    A modality of which it has some columns alone is told, as that is no choice but a schema that has drifted.
    """
    named = {m: [m] if c is None else [c] if isinstance(c, str) else list(c) for m, c in columns.items()}
    there = {m: own for m, own in named.items() if set(names).issuperset(own)}
    lacking = {m: [c for c in own if c not in names] for m, own in named.items() if not set(names).isdisjoint(own)}
    spare = [name for name in names if not any(name in own for own in named.values())]
    for modality, lacks in lacking.items():
        if not lacks:
            continue
        said, near = f"{path} has no column {', '.join(map(repr, lacks))}", did_you_mean(lacks[0], spare)
        if not there:
            raise DataError(f"{said}, which the run's {modality} reads{near}")
        warn(f"{said}: {modality} is left out{near if 'did you mean' in near else ''}")
    if not there:
        wanted = "; ".join(f"{m}: {', '.join(own)}" for m, own in named.items())
        raise DataError(f"{path} has none of the run's columns ({wanted})")
    return there


def _places(folder: Path, modalities: Mapping[str, Modality], columns: Columns) -> dict[str, str | None]:
    files = {m: c for m, c in columns.items() if getattr(modalities[m], "extensions", ())}
    if not files:
        raise DataError(f"{folder}: {', '.join(columns)} come from no files of their own; write a manifest")
    named = {m: m if c is None else c if isinstance(c, str) else "" for m, c in files.items()}
    return {m: name if name and (folder / name).is_dir() else None for m, name in named.items()}


def _near(path: Path, base: Path | None) -> Path:
    return base / path if base is not None and (base / path).exists() else path


def _claimed(uri: str) -> str | None:
    from contrapose.plugins import registry

    return registry().manager.reader_for(uri)
