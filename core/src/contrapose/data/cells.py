"""Cells of a manifest as modalities meet them: bytes, or a path under the manifest's folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from contrapose.errors import DataError

FOLLOW = "CONTRAPOSE_FOLLOW_LINKS"
"""The environment variable that lets links in a dataset lead out of its folder, as those of a download cache do."""

NOWHERE = Path(os.devnull)
"""The root of cells that come from elsewhere, under which no file lies."""


class NamedBytes(bytes):
    """The content of a file that lies within another (a shard, a table), and the ``name`` that it had."""

    name: str

    def __new__(cls, data: bytes, name: str) -> NamedBytes:
        """``data``, called ``name``."""
        made = super().__new__(cls, data)
        made.name = name
        return made

    def __reduce__(self) -> tuple[type[NamedBytes], tuple[bytes, str]]:
        return NamedBytes, (bytes(self), self.name)


class PlacedStr(str):
    """Text of a dataset among several; what it names, if that is a file, lies under a ``root`` of its own."""

    root: Path

    def __new__(cls, text: str, root: Path) -> PlacedStr:
        """``text`` from the data in ``root``."""
        made = super().__new__(cls, text)
        made.root = root
        return made

    def __reduce__(self) -> tuple[type[PlacedStr], tuple[str, Path]]:
        return PlacedStr, (str(self), self.root)


def cell_name(cell: Any, otherwise: str) -> str:
    """What a message calls a cell: the file that it is, or was, else ``otherwise``."""
    return cell if isinstance(cell, str) else getattr(cell, "name", otherwise)


def cell_path(cell: str, root: Path) -> Path:
    """The file that a cell names under ``root``.

    Raises `DataError` for an absolute path, one that leaves ``root``, a link that does, unless ``FOLLOW`` is set, and for any
    path where ``root`` is ``NOWHERE``.
    """
    root = getattr(cell, "root", root)
    if root == NOWHERE:
        raise DataError(f"{cell}: data from elsewhere can't name files on this machine")
    inside = os.path.normpath(cell)
    if os.path.isabs(cell) or inside == os.pardir or inside.startswith(os.pardir + os.sep):
        raise DataError(f"{cell}: paths must stay under the data's folder, {root}")
    path = root / inside
    if not may_follow() and leaves(path, root):
        raise DataError(
            f"{cell}: a link that leaves the data's folder, {root}; set {FOLLOW}=1 to trust these data's links"
        )
    return path


def may_follow() -> bool:
    """Whether the person at the machine lets links in data lead anywhere (``FOLLOW``)."""
    return os.environ.get(FOLLOW, "0") not in ("", "0")


def leaves(path: Path, root: Path) -> bool:
    """Whether ``path``, a path under ``root``, leads out of it by a link."""
    try:
        real, inside = os.path.realpath(path), os.path.realpath(root)
    except ValueError as error:  # a null character
        raise DataError(f"{str(path)!r}: {error}") from None
    return real != inside and not real.startswith(inside.rstrip(os.sep) + os.sep)


def read_bytes(cell: bytes | str, root: Path) -> bytes:
    """Bytes as they are, or the content of the file that a string names under ``root``. Raises `DataError`."""
    if isinstance(cell, bytes):
        return cell
    if not isinstance(cell, str):
        raise DataError(f"expected bytes or a path, got {type(cell).__name__}")
    path = cell_path(cell, root)
    try:
        if path.exists() and not path.is_file():  # a pipe would wait for ever, a device never end
            raise DataError(f"{path}: no file")
        return path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: {getattr(error, 'strerror', None) or error}") from None
