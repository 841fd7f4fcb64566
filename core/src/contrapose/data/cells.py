"""Cells of a manifest as modalities meet them: bytes, or a path under the manifest's folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from contrapose.errors import DataError


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


def cell_name(cell: Any, otherwise: str) -> str:
    """What a message calls a cell: the file that it is, or was, else ``otherwise``."""
    return cell if isinstance(cell, str) else getattr(cell, "name", otherwise)


def cell_path(cell: str, root: Path) -> Path:
    """The file that a cell names under ``root``. Raises `DataError` for an absolute path or one that leaves ``root``."""
    inside = os.path.normpath(cell)
    if os.path.isabs(cell) or inside == os.pardir or inside.startswith(os.pardir + os.sep):
        raise DataError(f"{cell}: paths must stay under the data's folder, {root}")
    return root / inside


def read_bytes(cell: bytes | str, root: Path) -> bytes:
    """Bytes as they are, or the content of the file that a string names under ``root``. Raises `DataError`."""
    if isinstance(cell, bytes):
        return cell
    if not isinstance(cell, str):
        raise DataError(f"expected bytes or a path, got {type(cell).__name__}")
    path = cell_path(cell, root)
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: {getattr(error, 'strerror', None) or error}") from None
