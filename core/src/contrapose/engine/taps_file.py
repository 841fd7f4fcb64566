"""The arrays of kept taps as they are written: how far it is, and that one process at a time writes."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from contrapose.config.json import parse
from contrapose.errors import CheckpointError, ConfigError
from contrapose.types import Batch

from .kept import HAS, IDS, META, TAP


class Table:
    """The arrays of all views of a job, as they are written. ``fresh``: nothing of theirs that is there is to be kept."""

    def __init__(self, folder: Path, ids: np.ndarray, fresh: bool) -> None:
        self.folder, self.ids, self.fresh = folder, np.sort(ids), fresh
        self.arrays: dict[tuple[str, str], np.ndarray] = {}

    def write(self, batch: Batch, made: dict[str, dict[str, Tensor]]) -> None:
        """The rows of a batch."""
        for view, taps in made.items():
            got = batch.views[view]
            rows = np.searchsorted(self.ids, batch.sample[got.index].cpu().numpy())
            columns = {f"{TAP}{t}": z for t, z in taps.items()} | {f"{META}{c}": z.cpu() for c, z in got.meta.items()}
            self._array(view, HAS, np.dtype(np.bool_), ())[rows] = True
            if not len(rows):
                continue
            for name, z in columns.items():
                values = z.numpy()
                array = self._array(view, name, values.dtype, values.shape[1:])
                if array.shape[1:] != values.shape[1:]:
                    raise ConfigError(
                        f"{name} of {view} changes its size from batch to batch, so it can't be kept",
                        ("train", "cache"),
                    )
                array[rows] = values

    def flush(self) -> None:
        """All that was written, on the disk, the ids last of all."""
        with writing(self.folder):
            for array in self.arrays.values():
                array.flush()  # type: ignore[attr-defined]
            for view in {view for view, _ in self.arrays}:
                np.save(place(self.folder, view) / f"{IDS}.npy", self.ids)

    def _array(self, view: str, name: str, dtype: np.dtype, shape: tuple[int, ...]) -> np.ndarray:
        if (view, name) not in self.arrays:
            file = place(self.folder, view) / f"{name}.npy"
            with writing(self.folder):
                file.parent.mkdir(parents=True, exist_ok=True)
                if self.fresh or not file.exists():
                    array = np.lib.format.open_memmap(file, mode="w+", dtype=dtype, shape=(len(self.ids), *shape))
                    _reserve(file)
                else:
                    array = np.lib.format.open_memmap(file, mode="r+")
            self.arrays[view, name] = array
        return self.arrays[view, name]


def _reserve(file: Path) -> None:
    """Take the file's room on the disk now: to write to a mapped file that has none ends the process without a word."""
    if hasattr(os, "posix_fallocate"):
        with open(file, "rb+") as opened:
            os.posix_fallocate(opened.fileno(), 0, os.fstat(opened.fileno()).st_size)


def place(folder: Path, view: str) -> Path:
    """The folder of a view's arrays."""
    return folder / view.rpartition("/")[2]


def read_state(folder: Path) -> dict[str, Any]:
    """How far the folder is: nothing where nobody began."""
    try:
        found = parse((folder / "state.json").read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def write_state(folder: Path, state: dict[str, Any]) -> None:
    """Note how far the folder is, whole or not at all."""
    temp = folder / ".state.tmp"
    with writing(folder):
        temp.write_text(json.dumps(state))
        os.replace(temp, folder / "state.json")


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Wait until no other process fills the folder. Raises ``CheckpointError`` where it can't be written."""
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        lock = open(folder / ".lock", "a")  # noqa: SIM115 (held below)
    with lock:
        with contextlib.suppress(ImportError):  # Windows has no such locks
            import fcntl

            fcntl.lockf(lock, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Tell in one line that the folder can't be written (a full disk, no permission)."""
    try:
        yield
    except OSError as error:
        raise CheckpointError(f"can't write the cache {folder}: {error.strerror}; set CONTRAPOSE_CACHE") from error
