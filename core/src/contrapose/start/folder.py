"""A folder of one's own files: who reads which, where they lie, and what the subfolders tell."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from contrapose.data.folder import files_below
from contrapose.start.found import LEAST, SEEN, Claim, Found, ask, extensions
from contrapose.types import Modality

PARTS = {"train", "test", "val", "valid", "validation"}
"""Names by which a top folder tells that it is a part of the data."""


def look_at_folder(root: Path, modalities: Mapping[str, Modality], small: bool) -> Found:
    """Find the modalities whose files lie below ``root``; files of one stem are one thing."""
    below = sorted(files_below(root))
    own: dict[str, list[PurePosixPath]] = {}
    suggested = {}
    notes = []
    for name, modality in modalities.items():
        files = [f for f in below if f.suffix.lower() in extensions(modality)]
        if not files:
            continue
        suggestion = ask(modality, {name: [f.as_posix() for f in files[:SEEN]]}, root, small)
        if suggestion is None:
            notes.append(f"{_some(files)} could be {name}, which has no suggestion for them")
        else:
            own[name], suggested[name] = files, suggestion
    if not own:
        return Found(root, "folder", len(below), {}, notes=[*notes, *_unread(below)])
    if any(len(files) >= LEAST for files in own.values()):
        few = [name for name, files in own.items() if len(files) < LEAST]
        notes += [f"{_some(own.pop(name))} left out: too few to learn {name} from" for name in few]
    places = _places(own)
    stems = {name: {_stem(f, places[name]) for f in files} for name, files in own.items()}
    if len(own) > 1 and not _joined(own, places):
        most = max(own, key=lambda name: len(own[name]))
        notes.append(
            f"no {' and '.join(own)} files share a stem ({', '.join(min(stems[m]) for m in own)}), so nothing joins them: "
            f"drafted for {most} alone; name files alike, or write a table of a row for each thing"
        )
        own, places, stems = {most: own[most]}, {most: "."}, {most: {_stem(f, ".") for f in own[most]}}
    keys = sorted(set().union(*stems.values()))
    claims = {
        name: Claim([places[name]], np.array([key in stems[name] for key in keys]), found.views, found.encoder)
        for name, found in suggested.items()
        if name in own
    }
    meta, split = _told_by_folders(keys)
    return Found(root, "folder", len(keys), claims, meta, split, notes=notes)


def _places(own: Mapping[str, list[PurePosixPath]]) -> dict[str, str]:
    """The subfolder of each modality: its own where that joins more files by their stems, else the whole folder."""
    whole = dict.fromkeys(own, ".")
    apart = {
        name: os.path.commonpath([f.parent for f in files]).replace(os.sep, "/") or "." for name, files in own.items()
    }
    return max((whole, apart), key=lambda places: _joined(own, places))  # the first where both join as many


def _joined(own: Mapping[str, list[PurePosixPath]], places: Mapping[str, str]) -> int:
    """How many stems two modalities or more share."""
    counts = Counter(stem for name, files in own.items() for stem in {_stem(f, places[name]) for f in files})
    return sum(count > 1 for count in counts.values())


def _stem(file: PurePosixPath, place: str) -> str:
    return file.relative_to(place).with_suffix("").as_posix()


def _told_by_folders(keys: list[str]) -> tuple[dict[str, str], dict[str, Any]]:
    """``meta`` and ``split`` of a config: a folder for each class, a top folder for each part."""
    parents = [PurePosixPath(key).parts[:-1] for key in keys]
    tops = {p[0] if p else "" for p in parents}
    nearest = {p[-1] for p in parents if p}
    parted = {"train", "test"} <= tops <= PARTS
    split = {"column": "top"} if parted else {"test": 0.2, "seed": 0}
    classes = nearest - tops if parted else nearest
    meta = {"label": "folder"} if 2 <= len(classes) <= len(keys) / 2 else {}
    return meta, split


def _some(files: list[PurePosixPath]) -> str:
    return f"{files[0]}{f' and {len(files) - 1} more' if len(files) > 1 else ''}"


def _unread(below: list[PurePosixPath]) -> list[str]:
    """What lies there, by suffix."""
    counts = Counter(f.suffix.lower() or "no suffix" for f in below)
    if not counts:
        return ["the folder is empty"]
    return ["it holds " + ", ".join(f"{count} {suffix}" for suffix, count in counts.most_common(6))]
