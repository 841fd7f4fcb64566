"""The run folder: its resolved config, and who may write into it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel

from contrapose.config import Config
from contrapose.config.config import whole_paths
from contrapose.config.yaml import dump
from contrapose.data.cells import leaves
from contrapose.data.shards import TAR, shards_of
from contrapose.errors import CheckpointError, ConfigError, ContraposeError, DataError

from .components import in_words

CHANGEABLE = (
    "epochs",
    "steps",
    "chunk_size",
    "shard",
    "device",
    "workers",
    "checkpoint_every",
    "keep",
    "threads",
    "loggers",
)
"""Those keys of ``train`` that may differ when a run is resumed."""

OBJECT = "object: "
"""What ``config.yaml`` writes for a Python object that was given in a config: this, and its repr."""


def resolved(config: Config) -> dict[str, Any]:
    """The config with every default in its place, as plain values: what ``config.yaml`` holds."""
    run = config.run
    tree = whole_paths({name: _plain(getattr(run, name)) for name in type(run).model_fields}, Path())
    base = config.source.parent if config.source else Path()
    tree["data"] = _lasting_data(run.data, tree["data"], base)
    if run.split and run.split.column:
        tree["split"] = {"column": run.split.column}
    tree["train"]["threads"] = run.train.threads or torch.get_num_threads()
    return {k: v for k, v in tree.items() if v is not None and k != "out"}


def read_config(folder: Path) -> Config:
    """The config that a run was started with.

    Raises ``CheckpointError`` where ``folder`` is no run, or holds a link that leaves it: a run that someone else made would
    have us read, and write, whatever that names.
    """
    file = folder / "config.yaml"
    if not file.is_file():
        raise CheckpointError(f"{folder} is no run: it has no config.yaml")
    for parent, folders, files in os.walk(folder):
        far = next((path for name in (*folders, *files) if _is_far(path := Path(parent, name), folder)), None)
        if far is not None:
            raise CheckpointError(
                f"{far} is a link that leaves the run's folder: remove it, or put what it names there"
            )
    return Config.load(file)


def _is_far(path: Path, folder: Path) -> bool:
    return path.is_symlink() and leaves(path, folder)


def require_rebuildable(config: Config) -> None:
    """Raise ``CheckpointError`` if the run was started with Python objects, which its folder can't hold."""
    for path, value in _leaves(config.data):
        if isinstance(value, str) and value.startswith(OBJECT):
            raise CheckpointError(
                f"{'.'.join(map(str, path))} of this run is a Python object, {value.removeprefix(OBJECT)}: "
                "give the config again, as config=..."
            )


def require_same(saved: Config, wanted: Config) -> None:
    """Raise ``ConfigError`` naming the first key by which ``wanted`` isn't the run that was started as ``saved``.

    A key that the version which wrote ``saved`` didn't know has its default there.
    """
    old, new = dict(_leaves(resolved(saved))), dict(_leaves(resolved(wanted)))
    for path in [*new, *old]:
        if path[0] == "train" and path[1] in CHANGEABLE:
            continue
        if old.get(path) != new.get(path):
            raise ConfigError(
                f"the run was started with {old.get(path)!r}, not {new.get(path)!r}; a resumed run may change only "
                f"train.{{{','.join(CHANGEABLE)}}}",
                path,
            )


def require_free(folder: Path) -> None:
    """Raise ``CheckpointError`` if ``folder`` holds a run already."""
    if (folder / "config.yaml").exists() or (folder / "checkpoints").exists():
        raise CheckpointError(
            f"{folder} already holds a run: go on with it by --resume {folder}, or choose another folder by --out"
        )


def write_config(folder: Path, tree: Mapping[str, Any]) -> None:
    """Write ``config.yaml``, whole or not at all: it is what makes a folder a run, so it comes last."""
    try:
        temp = folder / ".config.yaml.tmp"
        with open(temp, "w", encoding="utf-8") as file:
            file.write(dump(dict(tree)))
            file.flush()
            os.fsync(file.fileno())
        os.replace(temp, folder / "config.yaml")
    except OSError as e:
        raise CheckpointError(f"can't write to the run folder {folder}: {e.strerror}") from e


@contextmanager
def only_writer(folder: Path) -> Iterator[None]:
    """Hold the folder against a second process that would train into it; a killed one holds nothing.

    The lock is the process's own (POSIX): loader workers, which outlive a killed run by some seconds, don't inherit it.
    """
    try:
        import fcntl
    except ImportError:  # Windows has no advisory locks
        yield
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = open(folder / ".lock", "a")  # noqa: SIM115 (held below)
    except OSError as e:
        raise CheckpointError(f"can't write to the run folder {folder}: {e.strerror}") from e
    with lock:
        try:
            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as e:
            raise ContraposeError(
                f"another process is training into {folder}: wait for it, or choose another --out"
            ) from e
        yield


def _lasting_data(data: Any, plain: Any, base: Path) -> Any:
    """What ``plain`` says of data, with paths that hold from any folder; of each of several datasets too."""
    if isinstance(data, (str, Path)):
        return _lasting(str(data), base)
    if not isinstance(data, Mapping):
        return plain
    found = dict(plain)
    if isinstance(data.get("path"), str):
        found["path"] = _lasting(data["path"], base)
    if isinstance(data.get("of"), Mapping):
        found["of"] = {name: _lasting_data(one, plain["of"][name], base) for name, one in data["of"].items()}
    if "use" not in data and "data" in data:
        found["data"] = _lasting_data(data["data"], plain["data"], base)
    return found


def _lasting(path: str, base: Path) -> str:
    """A path that holds from any folder, if something is there; patterns of shards too."""
    if re.search(TAR, path):
        try:
            inside = shards_of(path, base)[0].is_relative_to(base)
        except DataError:
            return path
        return str((base if inside else Path()).resolve() / path)
    near = base / path if (base / path).exists() else Path(path)
    return str(near.resolve()) if near.exists() else path


def _plain(tree: Any) -> Any:
    if isinstance(tree, BaseModel):
        fields = {name: _plain(value) for name, value in tree}
        return {name: value for name, value in fields.items() if value is not None}
    if isinstance(tree, Mapping):
        return {str(k): _plain(v) for k, v in tree.items()}
    if isinstance(tree, (list, tuple)):
        return [_plain(v) for v in tree]
    if tree is None or isinstance(tree, (bool, int, float, str)):
        return tree
    return str(tree) if isinstance(tree, Path) else f"{OBJECT}{in_words(tree)}"


def _leaves(tree: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    if isinstance(tree, Mapping) and tree:
        for key, value in tree.items():
            yield from _leaves(value, (*path, key))
    elif isinstance(tree, list) and tree:
        for i, value in enumerate(tree):
            yield from _leaves(value, (*path, i))
    else:
        yield path, tree
