"""Checkpoints: safetensors and JSON, written beside and renamed, so that a folder with its name is a whole one.

``checkpoints/step-00000123/{model.safetensors, optimizer.safetensors, state.json}``; ``state.json`` comes last and holds the
size and CRC-32 of the others. There is no pointer file: the newest valid folder is the last checkpoint.
"""

from __future__ import annotations

import json
import os
import shutil
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor

from contrapose.config.json import parse
from contrapose.errors import CheckpointError

FORMAT = 1


@dataclass(frozen=True)
class Checkpoint:
    """A whole checkpoint on disk. ``state`` holds step, epoch, batch, method fingerprint and whatever the engine added."""

    path: Path
    state: dict[str, Any]

    @property
    def step(self) -> int:
        """Optimiser steps done when it was saved."""
        return int(self.state["step"])

    def tensors(self, part: str) -> dict[str, Tensor]:
        """The tensors of ``model`` or ``optimizer``, on the CPU."""
        try:
            return safetensors.torch.load_file(self.path / f"{part}.safetensors")
        except (OSError, SafetensorError, ValueError, KeyError) as e:
            raise CheckpointError(f"checkpoint {self.path.name} is damaged: {part}.safetensors: {_reason(e)}") from e


def folder_name(step: int) -> str:
    """What the checkpoint of a step is called."""
    return f"step-{step:08d}"


def save(
    checkpoints: Path,
    parts: Mapping[str, Mapping[str, Tensor]],
    state: Mapping[str, Any],
    keep: int,
    spare: str | None = None,
) -> Path:
    """Write ``parts`` (``{"model": tensors, "optimizer": tensors}``) and ``state`` as one checkpoint, then drop all but ``keep``.

    Args:
        checkpoints: the run's ``checkpoints`` folder.
        parts: named tensors of any device, a file each.
        state: JSON-able; must hold ``step``.
        keep: how many checkpoints stay, the new one among them.
        spare: the name of one that stays too.

    Returns:
        The new checkpoint's folder.

    Raises:
        CheckpointError: it could not be written (a full disk, no permission). Earlier checkpoints are as they were.
    """
    final = checkpoints / folder_name(state["step"])
    temp = checkpoints / f".{final.name}.tmp"
    try:
        shutil.rmtree(temp, ignore_errors=True)  # left by a run that was killed while saving
        temp.mkdir(parents=True)
        files = {f"{part}.safetensors": _write_tensors(temp / f"{part}.safetensors", t) for part, t in parts.items()}
        document = {"format": FORMAT, **state, "files": files}
        with open(temp / "state.json", "w") as f:
            json.dump(document, f, indent=1)
            f.flush()
            os.fsync(f.fileno())
        _sync_folder(temp)
        if final.exists():  # the same step of an earlier attempt, found damaged when the run was resumed
            shutil.rmtree(final)
        os.rename(temp, final)
        _sync_folder(checkpoints)
    except (OSError, SafetensorError) as e:
        shutil.rmtree(temp, ignore_errors=True)
        raise CheckpointError(
            f"could not save checkpoint {final.name} in {checkpoints}: {_reason(e)}; earlier checkpoints are kept"
        ) from e
    # Later ones are damaged leftovers of an earlier attempt, which a resume passed over: they count for nothing.
    older = [f for f in _folders(checkpoints) if f.name <= final.name][keep:]
    for old in (f for f in older if f.name != spare):
        shutil.rmtree(old, ignore_errors=True)
    return final


def newest(checkpoints: Path, warn: Callable[[str], None]) -> Checkpoint:
    """The last checkpoint that is whole; each damaged one that is passed over is reported through ``warn``.

    Raises:
        CheckpointError: there is none.
    """
    for folder in _folders(checkpoints):
        try:
            return read(folder)
        except CheckpointError as e:
            warn(f"{e}; falling back to the one before")
    raise CheckpointError(f"no usable checkpoint in {checkpoints}")


def latest(checkpoints: Path) -> str:
    """The name of the last checkpoint, whole or not; empty where there is none. By its number, whatever the clocks said."""
    return next((folder.name for folder in _folders(checkpoints)), "")


def read(folder: Path) -> Checkpoint:
    """The checkpoint in ``folder``, its files checked against the sizes and checksums in its ``state.json``.

    Raises:
        CheckpointError: something is missing, truncated, altered, or of a newer format.
    """
    try:
        state = parse((folder / "state.json").read_text())
        for name, (size, crc) in state["files"].items():
            if name != Path(name).name or not (folder / name).is_file():
                raise CheckpointError(f"checkpoint {folder.name} is damaged: {name[:60]!r} is no file of a checkpoint")
            found = (folder / name).stat().st_size
            if found != size:
                raise CheckpointError(f"checkpoint {folder.name} is damaged: {name} has {found} of {size} bytes")
            if _crc(folder / name) != crc:
                raise CheckpointError(f"checkpoint {folder.name} is damaged: {name} doesn't match its checksum")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as e:
        raise CheckpointError(f"checkpoint {folder.name} is damaged: {_reason(e)}") from e
    if state.get("format") != FORMAT:
        raise CheckpointError(
            f"checkpoint {folder.name} is of format {state.get('format')}; this version reads {FORMAT}"
        )
    return Checkpoint(folder, state)


def _folders(checkpoints: Path) -> list[Path]:
    """Checkpoint folders, newest first."""
    return sorted(checkpoints.glob("step-*"), key=lambda p: p.name, reverse=True)


def _write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> tuple[int, int]:
    safetensors.torch.save_file({k: t.detach().cpu().contiguous() for k, t in tensors.items()}, path)
    with open(path, "rb+") as f:
        os.fsync(f.fileno())
    return path.stat().st_size, _crc(path)


def _crc(path: Path) -> int:
    crc = 0
    with open(path, "rb") as f:
        while chunk := f.read(1 << 22):
            crc = zlib.crc32(chunk, crc)
    return crc


def _sync_folder(path: Path) -> None:
    """Make a rename or a new entry outlive a power cut."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _reason(e: Exception) -> str:
    if isinstance(e, OSError):
        return e.strerror or str(e)
    return str(e).splitlines()[0] if str(e) else type(e).__name__
