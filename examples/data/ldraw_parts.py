"""LDraw's file format, as much of it as shape needs: triangles and quads of a file and of all files that it includes.

A line of type 1 includes a file through a matrix and a shift, 3 is a triangle, 4 a quad; 2 and 5 are lines for drawing and 0 is
a remark or a header. Colours and the winding of faces (BFC) don't matter here. LDraw's up is -y.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Triangles = NDArray[np.float64]
DEEPEST = 32
NO_PART = re.compile("[~=_]|.*(Pattern|Sticker)")  # pieces of parts and old numbers, other names, set colours; prints


@dataclass
class Library:
    """The files below ``root``: ``parts/``, ``parts/s/`` (pieces of parts) and ``p/`` (primitives). Names ignore case."""

    root: Path
    missing: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._files = {
            f.relative_to(self.root / home).as_posix().lower(): f
            for home in ("p", "parts")
            for f in sorted((self.root / home).rglob("*"))
            if f.is_file()
        }
        self._known: dict[str, Triangles] = {}

    def triangles(self, name: str, depth: int = 0) -> Triangles:
        """Corners (T, 3, 3) of all faces of a file, in its own coordinates.

        A file that isn't there counts as empty, and is put into ``missing``. Raises ``ValueError`` where files include each other.
        """
        name = _plain(name)
        if name in self._known:
            return self._known[name]
        if depth > DEEPEST:
            raise ValueError(f"{name}: included {DEEPEST} deep, so probably by itself")
        if name not in self._files:
            self.missing.add(name)
            return np.zeros((0, 3, 3))
        own, parts = [], []
        for kind, words in _lines(self._files[name]):
            if kind == "1":
                x = np.array(words[1:13], dtype=np.float64)
                parts.append(self.triangles(" ".join(words[13:]), depth + 1) @ x[3:].reshape(3, 3).T + x[:3])
            elif kind == "3":
                own.append(np.array(words[1:10], dtype=np.float64).reshape(3, 3))
            elif kind == "4":
                quad = np.array(words[1:13], dtype=np.float64).reshape(4, 3)
                own += [quad[[0, 1, 2]], quad[[0, 2, 3]]]
        found = np.concatenate([np.array(own).reshape(-1, 3, 3), *parts])
        if depth:
            self._known[name] = found  # what others include
        return found

    def includes(self, name: str) -> list[str]:
        """The files that a file includes, once each, in order."""
        lines = _lines(self._files[_plain(name)])
        return list(dict.fromkeys(_plain(" ".join(words[13:])) for kind, words in lines if kind == "1"))


class Header(NamedTuple):
    """What a part's file says of itself. ``category`` is its !CATEGORY, or else the first word of its title."""

    title: str
    category: str
    author: str


def read_header(file: Path) -> Header:
    """The header of a part's file; an author that it lacks is ``""``."""
    lines = file.read_text("utf-8", errors="replace").lstrip("\ufeff").splitlines()
    title = " ".join(lines[0].split()[1:])
    said = {}
    for line in lines[1:]:
        if line[:1] in tuple("12345"):
            break
        if found := re.match(r"0 (Author:|!CATEGORY)\s+(.*)", line):
            said[found[1]] = " ".join(found[2].split())
    first = re.sub("[^A-Za-z-]", "", title.split()[0]) if title else ""
    return Header(title, said.get("!CATEGORY", first), said.get("Author:", ""))


def is_shape(title: str) -> bool:
    """Is it a part of its own with a shape of its own: no piece, alias or old number, and neither printed nor a sticker?"""
    return NO_PART.match(title) is None


def stem(name: str) -> str:
    """The mould's number in a part's file name: ``3127b.dat`` and ``3127c01.dat`` are variants of ``3127``."""
    found = re.match(r"[a-z]*\d+", name)
    return found[0] if found else Path(name).stem


def _lines(file: Path) -> list[tuple[str, list[str]]]:
    """Lines of faces and inclusions, as their type and the words after it."""
    split = (line.split() for line in file.read_text("utf-8", errors="replace").splitlines())
    return [(words[0], words[1:]) for words in split if words and words[0] in ("1", "3", "4")]


def _plain(name: str) -> str:
    return name.replace("\\", "/").lower()
