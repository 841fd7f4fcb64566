"""PLY, ascii and binary of both byte orders (Turk, 1994): vertices and faces; of other properties, normals and colours."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contrapose_pointcloud.formats.mesh import Mesh, Points, fan, joined

_TYPES = {
    **dict.fromkeys(("char", "int8"), "i1"),
    **dict.fromkeys(("uchar", "uint8"), "u1"),
    **dict.fromkeys(("short", "int16"), "i2"),
    **dict.fromkeys(("ushort", "uint16"), "u2"),
    **dict.fromkeys(("int", "int32"), "i4"),
    **dict.fromkeys(("uint", "uint32"), "u4"),
    **dict.fromkeys(("float", "float32"), "f4"),
    **dict.fromkeys(("double", "float64"), "f8"),
}
_ORDERS = {"ascii": "=", "binary_little_endian": "<", "binary_big_endian": ">"}


@dataclass
class _Element:
    name: str
    count: int
    properties: list[tuple[str, str, str | None]] = field(default_factory=list)  # name, type, type of a list's length

    @property
    def has_lists(self) -> bool:
        return any(length for _, _, length in self.properties)


def read_ply(data: bytes, normals: bool = False, colours: bool = False) -> Mesh | Points:
    """A mesh where the file has faces, else points (N, 3), then normals (3) and colours (3) where asked for.

    Colours are in [0, 1]; those of whole numbers are divided by the largest that their type has. Raises ``ValueError`` where it
    isn't a PLY, or lacks what is asked for; a mesh has normals of its own.
    """
    encoding, elements, body = _header(data)
    read = _read_ascii if encoding == "ascii" else _read_binary
    columns = read(body, elements, _ORDERS[encoding])
    vertex = columns.get("vertex", {})
    types = {name: kind for e in elements if e.name == "vertex" for name, kind, _ in e.properties}

    def take(names: str, what: str) -> Points:
        axes = names.split()
        if not set(axes) <= set(vertex):
            raise ValueError(f"no vertex element with {what}")
        return np.stack([np.asarray(vertex[axis], dtype=np.float64) for axis in axes], axis=1)

    points = take("x y z", "x, y and z")
    paint = take("red green blue", "colours (red, green, blue)") if colours else None
    if paint is not None and np.dtype(types["red"]).kind in "iu":
        paint = paint / np.iinfo(types["red"]).max
    face = columns.get("face", {})
    corners = face.get("vertex_indices", face.get("vertex_index"))
    if corners is None or not len(corners):
        return joined(points, take("nx ny nz", "normals (nx, ny, nz)") if normals else None, paint)
    return Mesh(points, fan([np.asarray(c, dtype=np.int64) for c in corners]), paint)


def _header(data: bytes) -> tuple[str, list[_Element], bytes]:
    head, mark, rest = data.partition(b"end_header")
    if not mark:
        raise ValueError("the header has no end")
    body = rest.split(b"\n", 1)[1] if b"\n" in rest else b""
    encoding, elements = "", []
    for line in head.decode("ascii", "replace").splitlines()[1:]:
        match line.split():
            case ["format", encoding, _]:
                if encoding not in _ORDERS:
                    raise ValueError(f"unknown format {encoding!r}")
            case ["element", name, count]:
                elements.append(_Element(name, int(count)))
                if not 0 <= elements[-1].count <= len(data):
                    raise ValueError(f"it says to have {count} of {name!r}, more than it has bytes")
            case ["property", "list", length, kind, name]:
                elements[-1].properties.append((name, _TYPES[kind], _TYPES[length]))
            case ["property", kind, name]:
                elements[-1].properties.append((name, _TYPES[kind], None))
    if not encoding:
        raise ValueError("the header names no format")
    return encoding, elements, body


def _read_ascii(body: bytes, elements: list[_Element], order: str) -> dict[str, dict[str, Any]]:
    words, at = body.split(), 0
    columns: dict[str, dict[str, Any]] = {}
    for e in elements:
        if not e.has_lists:
            width = len(e.properties)
            table = np.array(words[at : at + e.count * width], dtype=np.float64).reshape(e.count, width)
            columns[e.name] = {p[0]: table[:, i] for i, p in enumerate(e.properties)}
            at += e.count * width
            continue
        lists: dict[str, list[Any]] = {name: [] for name, _, _ in e.properties}
        for _ in range(e.count):
            for name, _, length in e.properties:
                size = int(words[at]) if length else 1
                at += bool(length)
                if size < 0 or at + size > len(words):
                    raise ValueError("the file ends too early")
                lists[name].append(np.array(words[at : at + size], dtype=np.float64))
                at += size
        columns[e.name] = lists
    return columns


def _read_binary(body: bytes, elements: list[_Element], order: str) -> dict[str, dict[str, Any]]:
    at = 0
    columns: dict[str, dict[str, Any]] = {}
    for e in elements:
        rows = _even_rows(body, at, e, order)
        if rows is not None:
            columns[e.name] = {name: rows[name] for name, _, _ in e.properties}
            at += rows.nbytes
        else:
            columns[e.name], at = _uneven_rows(body, at, e, order)
    return columns


def _even_rows(body: bytes, at: int, e: _Element, order: str) -> NDArray[Any] | None:
    """The element as one structured array, if each of its lists is as long in every row as in the first."""
    if e.count == 0:
        return np.zeros(0, dtype=[(name, order + kind) for name, kind, _ in e.properties])
    fields: list[tuple[Any, ...]] = []
    for name, kind, length in e.properties:
        if length:
            size = _one(body, at + np.dtype(fields).itemsize, order + length)
            fields += [(f"{name} length", order + length), (name, order + kind, (size,))]
        else:
            fields.append((name, order + kind))
    dtype = np.dtype(fields)
    if at + e.count * dtype.itemsize > len(body):
        if not e.has_lists:
            raise ValueError("the file ends too early")
        return None
    rows = np.frombuffer(body, dtype, e.count, at)
    even = all((rows[f"{name} length"] == rows[name].shape[1]).all() for name, _, length in e.properties if length)
    return rows if even else None


def _uneven_rows(body: bytes, at: int, e: _Element, order: str) -> tuple[dict[str, list[Any]], int]:
    columns: dict[str, list[Any]] = {name: [] for name, _, _ in e.properties}
    for _ in range(e.count):
        for name, kind, length in e.properties:
            size = 1
            if length:
                size = _one(body, at, order + length)
                at += np.dtype(length).itemsize
                if size < 0:
                    raise ValueError(f"a list of {size} values")
            columns[name].append(np.frombuffer(body, order + kind, size, at))
            at += size * np.dtype(kind).itemsize
    return columns, at


def _one(body: bytes, at: int, kind: str) -> int:
    return int(np.frombuffer(body, kind, 1, at)[0])
