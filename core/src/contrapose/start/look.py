"""What lies at a path of one's own, and whether it can be trained on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from contrapose.config import build
from contrapose.data import open_reader, split
from contrapose.data.failure import one_line
from contrapose.data.formats import FORMATS
from contrapose.data.packed import is_packed
from contrapose.data.table import TableReader
from contrapose.errors import ConfigError, ContraposeError, DataError, PluginError
from contrapose.plugins import registry
from contrapose.start.folder import look_at_folder
from contrapose.start.found import LEAST, Found, extensions
from contrapose.start.table import look_at_table
from contrapose.types import Modality

PLAIN_SPLIT = {"test": 0.2, "seed": 0}


def look(path: Path, small: bool) -> Found:
    """Look at a table, a folder of files, or a folder with a table that names its files.

    ``small``: for a machine without a GPU. Raises `DataError` where nothing there can be trained on, `PluginError` where no
    modality is installed.
    """
    if not path.exists():
        raise DataError(f"{path}: no such file or folder")
    if path.is_dir() and is_packed(path):
        raise DataError(f"{path}: a packed dataset; give it, as data: {path}, to the config that it was packed by")
    modalities, notes = usable()
    if path.is_dir():
        found = _look_at_either(path, modalities, small)
    elif path.suffix.lower() in FORMATS:
        found = look_at_table(path, modalities, small)
    else:
        raise DataError(f"{path}: not a table; give a folder, or a file that ends in {', '.join(FORMATS)}")
    found = replace(found, notes=[*found.notes, *notes])
    _require_something(found, modalities)
    return _opened(found, modalities)


def usable() -> tuple[dict[str, Modality], list[str]]:
    """The modalities that can be used here, by name, and a line for each plugin that can't. Raises `PluginError` if none can."""
    made: dict[str, Modality] = {}
    notes = [f"plugin {p.distribution} is {p.status}" for p in registry().plugins() if p.status not in ("ok", "denied")]
    for offer in registry().offers("modality"):
        try:
            made[offer.spec.name] = build("modality", offer.name)
        except ContraposeError as error:
            notes.append(str(error))
    if not made:
        why = f" ({'; '.join(notes)})" if notes else ""
        raise PluginError(f"no modality is installed{why}: pip install contrapose-<modality> for each kind of data")
    return made, notes


def _look_at_either(path: Path, modalities: Mapping[str, Modality], small: bool) -> Found:
    """A table at the top of a folder that names all that lies there tells more than the files alone."""
    files = look_at_folder(path, modalities, small)
    telling, notes = [], []
    for file in sorted(p for p in path.iterdir() if p.suffix.lower() in FORMATS and p.is_file()):
        try:
            found = look_at_table(file, modalities, small)
        except DataError as error:
            notes.append(str(error))
            continue
        if found.modalities and found.modalities.keys() >= files.modalities.keys():
            telling.append(found)
        else:
            notes.append(f"{file} lies here too; give it instead of its folder to read it")
    if len(telling) > 1:
        raise DataError(f"{path} holds several tables, {', '.join(f.path.name for f in telling)}; give one of them")
    return telling[0] if telling else replace(files, notes=[*files.notes, *notes])


def _require_something(found: Found, modalities: Mapping[str, Modality]) -> None:
    if found.things < LEAST and (found.modalities or found.kind == "table"):
        raise DataError(f"{found.path}: {found.things} things are too few to tell apart; give {LEAST} or more")
    if not found.modalities:
        what = f" ({'; '.join(found.notes)})" if found.notes else ""
        reads = (f"{name} ({' '.join(extensions(m))})" if extensions(m) else name for name, m in modalities.items())
        raise DataError(
            f"{found.path}: nothing here that an installed plugin reads{what}; there is {', '.join(reads)}. "
            "For other kinds: pip install contrapose-<modality>"
        )


def _opened(found: Found, modalities: Mapping[str, Modality]) -> Found:
    """Open the data as training will: divide them, and read some."""
    columns = {name: claim.said for name, claim in found.modalities.items()}
    reader = open_reader(found.path, modalities, columns, found.meta)
    assert isinstance(reader, TableReader)
    notes = _tried(reader, found, modalities)
    try:
        train = len(split(reader, found.split)["train"])
    except ConfigError as error:  # groups too few or too unequal to be divided
        notes.append(f"not split by {found.split['by']}: {error}")
        found = replace(found, split=PLAIN_SPLIT)
        train = len(split(reader, PLAIN_SPLIT)["train"])
    return replace(found, train=train, notes=[*found.notes, *notes])


def _tried(reader: TableReader, found: Found, modalities: Mapping[str, Modality]) -> list[str]:
    """Read a few things of each modality that needs no fit first. Raises `DataError` where none of them can be read."""
    notes = []
    for name, claim in found.modalities.items():
        if hasattr(modalities[name], "fit"):
            continue
        rows = np.flatnonzero(claim.has)
        few = rows[np.linspace(0, len(rows) - 1, 5).astype(int)]
        errors = [one_line(error) for row in few for _, error in reader.only(name).read(row)[1]]
        if len(errors) == len(few):
            where = "; paths start at the table's folder" if found.kind == "table" else ""
            raise DataError(f"{name}: {errors[0]}{where}")
        notes += [f"{name}: {error}; training skips and lists what can't be read" for error in errors[:1]]
    return notes
