"""What a dataset's folder tells the package ``datasets`` to read, before it does: nothing but files of that folder."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from contrapose.config.json import parse
from contrapose.data.cells import FOLLOW, leaves, may_follow
from contrapose.data.failure import one_line
from contrapose.data.shards import ADDRESS
from contrapose.errors import ConfigError, DataError

PLACES = ("data_files", "data_dir")
"""Keys of a card's configs under which there are paths."""


def check_dataset(path: str) -> None:
    """Raise `ConfigError` for an address, and `DataError` for a local folder that leads out of itself or elsewhere.

    Cards are read by the package's own parsers, so that they say here what they say to it. Names on a hub are left to the hub.
    """
    if re.match(ADDRESS, path) or "::" in path:
        raise ConfigError(f"{path}: no address but a folder, a file or a name on the hub, owner/name", ("path",))
    folder = Path(path)
    if not folder.is_dir():
        return
    try:
        for place in _places(folder):
            if re.match(ADDRESS, place) or "::" in place or "://" in place or _leads_out(place):
                raise DataError(f"{path}: it says that its files are at {place!r}, which isn't in this folder")
        for name in _names(folder):
            if name in ("", os.curdir, os.pardir) or re.search(r"[/\\:]", name):
                raise DataError(f"{path}: it says that a file of its own is called {name!r}, which is no plain name")
    except DataError:
        raise
    except Exception as error:  # of a parser
        raise DataError(f"{path}: its card or its state can't be read: {one_line(error)}") from error
    _check_tree(folder)


def _leads_out(place: str) -> bool:
    return os.path.isabs(place) or os.pardir in re.split(r"[/\\]", place) or place.startswith("~")


def _places(folder: Path) -> Iterator[str]:
    """The paths in the card, ``README.md``, and in ``.huggingface.yaml``, which adds to it."""
    import yaml  # type: ignore[import-untyped]
    from huggingface_hub import DatasetCard

    card, more = folder / "README.md", folder / ".huggingface.yaml"
    said = [DatasetCard.load(card).data.to_dict()] if card.is_file() else []
    if more.exists():
        said.append(yaml.safe_load(more.read_text("utf-8")) or {})
    for one in said:
        for config in one.get("configs") or []:
            for key in PLACES:
                yield from _strings(config.get(key))


def _names(folder: Path) -> Iterator[str]:
    """The parts and files that ``save_to_disk`` has written down."""
    parts = [folder]
    if (folder / "dataset_dict.json").is_file():
        for part in parse((folder / "dataset_dict.json").read_bytes())["splits"]:
            yield part
            parts.append(folder / part)
    for part in parts:
        if (part / "state.json").is_file():
            for file in parse((part / "state.json").read_bytes())["_data_files"]:
                yield file["filename"]


def _strings(node: Any) -> Iterator[str]:
    if isinstance(node, str):
        yield node
    elif isinstance(node, dict):
        for value in node.values():
            yield from _strings(value)
    elif isinstance(node, list):
        for value in node:
            yield from _strings(value)
    elif node is not None:
        raise ValueError(f"{node!r:.40} is no path")


def _check_tree(folder: Path) -> None:
    for at, folders, files in os.walk(folder):
        for file in (Path(at, name) for name in (*folders, *files)):
            if "::" in file.name:  # which fsspec takes for a chain
                raise DataError(f"{file}: no name for a file of a dataset: it could pass for an address")
            if not may_follow() and file.is_symlink() and leaves(file, folder):
                raise DataError(
                    f"{file}: a link that leaves the data's folder, {folder}; set {FOLLOW}=1 to trust these data's links"
                )
