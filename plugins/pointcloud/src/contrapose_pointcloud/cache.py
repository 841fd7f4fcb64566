"""A folder of arrays that are made once: clouds sampled from meshes, and renderings."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contrapose.data.cache import cache_folder
from contrapose.errors import ConfigError, warn

_VERSION = 1  # raise it when what is made of the same input changes
Arrays = Mapping[str, NDArray[Any]]


class Cache:
    """Arrays by key, an npz file each: written whole or not at all, so that any number of workers and processes may share it.

    It never deletes; ``size`` tells what it takes. A file that is damaged is made again, one that can't be written (a full disk) is
    done without, after a warning.
    """

    def __init__(self, folder: str | bool) -> None:
        """``folder``, or "pointcloud" in the folder of contrapose's caches (``CONTRAPOSE_CACHE``) for True.

        Raises ``ConfigError`` where it can't be made.
        """
        self.folder = cache_folder() / "pointcloud" if folder is True else Path(folder or ".").expanduser()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"can't make the cache {self.folder}: {error.strerror}") from None

    def get(self, facts: object, make: Callable[[], Arrays]) -> Arrays:
        """The arrays that ``make`` makes, kept under ``facts``, all that they follow from, whose ``repr`` tells them apart."""
        key = hashlib.blake2b(repr((_VERSION, facts)).encode(), digest_size=16).hexdigest()
        file = self.folder / key[:2] / f"{key}.npz"  # in 256 folders, as some file systems are slow with large ones
        with contextlib.suppress(Exception), np.load(file, allow_pickle=False) as kept:  # not there, or damaged
            return {name: kept[name] for name in kept.files}
        made = make()
        self._write(file, made)
        return made

    def size(self) -> tuple[int, int]:
        """How many entries there are, and their bytes."""
        sizes = [file.stat().st_size for file in self.folder.glob("??/*.npz")]
        return len(sizes), sum(sizes)

    def _write(self, file: Path, made: Arrays) -> None:
        partial = None
        try:
            file.parent.mkdir(exist_ok=True)
            handle, partial = tempfile.mkstemp(dir=file.parent, suffix=".partial")
            with os.fdopen(handle, "wb") as sink:
                np.savez(sink, **made)  # type: ignore[arg-type]
            os.replace(partial, file)
        except OSError as error:
            warn(f"can't write the cache {self.folder}: {error.strerror or error}; going on without")
            if partial is not None:
                with contextlib.suppress(OSError):
                    os.unlink(partial)


def digest(*arrays: NDArray[Any] | bytes) -> str:
    """What tells arrays or bytes from others: their shapes, dtypes and content."""
    found = hashlib.blake2b(digest_size=16)
    for part in arrays:
        array = np.ascontiguousarray(np.frombuffer(part, np.uint8) if isinstance(part, bytes) else part)
        found.update(f"{array.dtype.str}{array.shape}".encode())
        found.update(array.data if array.size else b"")
    return found.hexdigest()
