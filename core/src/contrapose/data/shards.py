"""The files that a short form names: ``data/{000..099}.tar``, ``{a,b}.tar``, ``*.tar``."""

from __future__ import annotations

import glob
import re
from pathlib import Path

from contrapose.errors import DataError

ADDRESS = r"\w\w+:"
"""How the address of a place elsewhere begins: a scheme, which is no drive's letter."""

TAR = r"\.(tar(\.\w+)?|tgz)$"
"""How the name of a tar shard ends, compressed or not."""

MOST = 1_000_000
"""Names that one form may stand for."""


def shards_of(said: str, base: Path | None = None) -> list[Path]:
    """The files in their order, relative to ``base`` if they are there, else to the working folder.

    Raises `DataError` for an address of elsewhere, and where a file is missing or a pattern fits none.
    """
    if re.match(ADDRESS, said):
        raise DataError(
            f"{said}: local files alone are read by position; mount them, or read them from their beginning, by data: "
            "{use: webdataset, path: ..., streaming: true}"
        )
    found: list[Path] = []
    for folder in ([] if base is None else [base]) + [Path()]:
        found = [file for name in expand(said) for file in _files(folder, name)]
        if found and all(file.is_file() for file in found):
            return found
    if not found:
        raise DataError(f"{said}: no file fits")
    raise DataError(f"{next(file for file in found if not file.is_file())}: no such file")


def expand(said: str) -> list[str]:
    """What braces stand for: ``a{1,x}`` is a1, ax; ``a{08..10}`` is a08, a09, a10. Raises `DataError` for too many."""
    if said.count("{") > 16:
        raise DataError(f"{said[:60]}: more than 16 braces")
    braces = re.search(r"\{([^{}]*)\}", said)
    if braces is None:
        return [said]
    numbers = re.fullmatch(r"(\d+)\.\.(\d+)", braces[1])
    if numbers:
        first, last = numbers[1], numbers[2]
        wide = len(first) if first.startswith("0") else 0
        if int(last) - int(first) >= MOST:
            raise DataError(f"{said[:60]}: more than {MOST:,} shards")
        parts = [f"{n:0{wide}}" for n in range(int(first), int(last) + 1)]
    else:
        parts = braces[1].split(",")
    found: list[str] = []
    for part in parts:
        found += expand(said[: braces.start()] + part + said[braces.end() :])
        if len(found) > MOST:
            raise DataError(f"{said[:60]}: more than {MOST:,} shards")
    return found


def _files(folder: Path, name: str) -> list[Path]:
    if not glob.has_magic(name):
        return [folder / name]
    return [folder / found for found in sorted(glob.glob(name, root_dir=folder))]
