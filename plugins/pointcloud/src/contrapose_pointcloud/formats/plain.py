"""Formats simple enough to need no library: npy, npz, OFF and columns of numbers (xyz)."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contrapose_pointcloud.formats.mesh import Mesh, Points, fan, joined

MOST_BYTES = 1 << 31
"""Of an array within an npz file: a few kilobytes can unpack to all of the memory."""


def read_npy(data: bytes) -> NDArray[Any]:
    """The array of an npy file; nothing is unpickled."""
    return np.load(io.BytesIO(data), allow_pickle=False)


def read_npz(data: bytes) -> NDArray[Any]:
    """The array called ``points`` of an npz file, or its only one. Raises ``ValueError`` where there are several."""
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        name = "points" if "points" in arrays.files else arrays.files[0] if len(arrays.files) == 1 else None
        if name is None:
            raise ValueError(f"of its arrays ({', '.join(arrays.files)}) none is called points")
        size = arrays.zip.getinfo(f"{name}.npy").file_size
        if size > MOST_BYTES:
            raise ValueError(f"its array unpacks to {size:,} bytes, more than {MOST_BYTES:,}")
        return arrays[name]


def read_xyz(data: bytes) -> Points:
    """Rows of numbers, x y z first, parted by blanks, commas or semicolons; ``#`` starts a comment."""
    text = data.decode("ascii").replace(",", " ").replace(";", " ")
    if not text.strip():
        raise ValueError("it is empty")  # numpy would warn, and give no points
    return np.loadtxt(io.StringIO(text), dtype=np.float64, ndmin=2)


def read_off(data: bytes, colours: bool = False) -> Mesh | Points:
    """An OFF or COFF file: a mesh, or points (N, 3) where it has no faces; with the colours of a COFF file where asked for.

    ModelNet's files, where the counts follow ``OFF`` without a break, are read too. Raises ``ValueError``.
    """
    text = data.decode("ascii")
    lines = [words for line in text.splitlines() if (words := line.split("#")[0].split())]
    if not lines or not lines[0][0].startswith(("OFF", "COFF")):
        raise ValueError("it doesn't begin with OFF")
    painted = lines[0][0].startswith("C")
    lines[0][0] = lines[0][0].removeprefix("C").removeprefix("OFF")
    counts = lines.pop(0)
    if not (counts := [c for c in counts if c]):
        counts = lines.pop(0)
    vertices, faces = int(counts[0]), int(counts[1])
    if vertices < 1:
        raise ValueError("it has no vertices")
    if len(lines) < vertices + faces:
        raise ValueError("the file ends too early")
    points = np.array([words[:3] for words in lines[:vertices]], dtype=np.float64)
    paint = _paint([words[3:6] for words in lines[:vertices]] if painted else []) if colours else None
    if not faces:
        return joined(points, colours=paint)
    if paint is not None and not len(paint):
        raise ValueError("its vertices have no colours")
    polygons = [np.array(words[1 : 1 + int(words[0])], dtype=np.int64) for words in lines[vertices : vertices + faces]]
    return Mesh(points, fan(polygons), paint)


def _paint(words: list[list[str]]) -> Points:
    """Colours in [0, 1]: as they are where any is written with a point, else out of 255."""
    values = np.array(words, dtype=np.float64)
    return values if any("." in word for row in words for word in row) else values / 255
