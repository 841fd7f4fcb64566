"""A folder of files, where files of one stem are one thing."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

import pyarrow as pa

from contrapose.data.cells import FOLLOW, cell_path, leaves, may_follow
from contrapose.data.table import Columns, LacksColumn, TableReader
from contrapose.errors import ConfigError, DataError, did_you_mean, warn
from contrapose.types import Modality


class FolderReader(TableReader):
    """Samples from files joined by their stem: ``chair.x`` and ``chair.y`` are one.

    ``columns`` may give a modality its own subfolder (``left/chair.x`` and ``right/chair.y``); "." or None is
    the whole folder. What a modality reads is told by its ``extensions`` (".x", ...). The reader offers the columns
    ``path`` (below that folder, without extension), ``folder`` (the nearest folder: ``cat`` of ``train/cat/x``) and
    ``top`` (the first: ``train``), so ``meta: {label: folder}`` and ``split: {column: top}`` do what one expects. Ids
    follow the sorted paths.
    """

    def __init__(
        self,
        path: str | Path,
        modalities: Mapping[str, Modality],
        columns: Columns,
        meta: Mapping[str, str] | None = None,
        vocabularies: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        root = Path(path)
        if not root.is_dir():
            raise DataError(f"{root}: no such folder")
        places = {name: _place(root, name, place) for name, place in columns.items()}
        _check_extensions(places, modalities)
        found = {name: _scan(root, place, _extensions(modalities, name)) for name, place in places.items()}
        keys = sorted(set().union(*found.values()))
        if not keys:
            wanted = sorted({e for name in found for e in _extensions(modalities, name)})
            raise DataError(f"{root}: no file ends in {', '.join(wanted)}")
        parents = [PurePosixPath(key).parts[:-1] for key in keys]
        facts = {
            "path": keys,
            "folder": [p[-1] if p else None for p in parents],
            "top": [p[0] if p else None for p in parents],
        }
        files = {f"file:{name}": [files.get(key) for key in keys] for name, files in found.items()}
        table = pa.table({name: pa.array(values, pa.string()) for name, values in {**facts, **files}.items()})
        digest = hashlib.blake2b(repr(list(found.values())).encode(), digest_size=16).hexdigest()
        super().__init__(table, modalities, {n: f"file:{n}" for n in found}, meta, root, digest, vocabularies)


def _place(root: Path, modality: str, place: str | Sequence[str] | None) -> str:
    if place is None:
        return ""
    if not isinstance(place, str):
        raise LacksColumn("in a folder, a modality lies in one subfolder", ("modalities", modality))
    if not cell_path(place, root).is_dir():
        there = [p.name for p in root.iterdir() if p.is_dir()]
        raise LacksColumn(f"{root} has no subfolder {place!r}{did_you_mean(place, there)}", ("modalities", modality))
    return "" if place == "." else PurePosixPath(place).as_posix()


def _extensions(modalities: Mapping[str, Modality], name: str) -> tuple[str, ...]:
    if name not in modalities:
        raise ConfigError(f"unknown modality{did_you_mean(name, modalities)}", ("modalities", name))
    extensions: tuple[str, ...] = tuple(getattr(modalities[name], "extensions", ()))
    if not extensions:
        raise LacksColumn(f"modality {name!r} names no file extensions; write a manifest", ("modalities", name))
    return extensions


def _check_extensions(places: Mapping[str, str], modalities: Mapping[str, Modality]) -> None:
    """Two modalities of one place must differ in their files."""
    owner: dict[tuple[str, str], str] = {}
    for name, place in places.items():
        for extension in _extensions(modalities, name):
            other = owner.setdefault((place, extension), name)
            if other != name:
                message = f"{extension} could be {other} or {name}; give each its subfolder"
                raise ConfigError(message, ("modalities", name))


def _scan(root: Path, place: str, extensions: Sequence[str]) -> dict[str, str]:
    """Path below ``root`` of each file, by its path below ``place`` without extension."""
    found: dict[str, str] = {}
    for file in files_below(root / place):
        if file.suffix.lower() not in extensions:
            continue
        key, below = file.with_suffix("").as_posix(), (PurePosixPath(place) / file).as_posix()
        if found.setdefault(key, below) != below:
            raise DataError(f"{root}: {found[key]} and {below} are one modality of one thing")
    return found


def files_below(folder: Path) -> Iterator[PurePosixPath]:
    """The files of a folder, relative to it. What is hidden, and the pictures in a run's folder, are no data.

    Links are followed as `cell_path` does, and each folder is entered once, so that links in a circle end.
    """
    entered = {os.path.realpath(folder)}

    def is_data(path: Path) -> bool:
        real = os.path.realpath(path)
        if path.name.startswith(".") or (path / "checkpoints").is_dir() or real in entered:
            return False
        if path.is_symlink() and not may_follow() and leaves(path, folder):
            warn(f"{path} is a link that leaves the data's folder: passed over; {FOLLOW}=1 follows it")
            return False
        entered.add(real)
        return True

    for parent, folders, names in os.walk(folder, followlinks=True):
        folders[:] = [f for f in sorted(folders) if is_data(Path(parent, f))]
        below = PurePosixPath(os.path.relpath(parent, folder).replace(os.sep, "/"))
        yield from (below / name for name in names if not name.startswith("."))
