"""Formats that open3d reads: pcd, obj, stl, gltf and glb. It is imported when the first such file is met."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from urllib.parse import unquote

import numpy as np

from contrapose.config.json import parse
from contrapose.data.cells import cell_path
from contrapose.errors import PluginError
from contrapose_pointcloud.formats.mesh import Mesh, Points


def read_with_open3d(kind: str, data: bytes, path: Path | None) -> Mesh | Points:
    """Read ``data``, in the format ``kind`` ("pcd"), or the file at ``path``, whose neighbours (.bin) it may need.

    Of neighbours, those in the file's own folder alone. Raises ``DataError`` where it names others, ``PluginError`` where open3d
    can't be imported, ``ValueError`` where the file holds nothing that it can read.
    """
    if kind == "obj":  # alone, without the material files that it names, whose paths could lead anywhere
        lines = re.split(rb"[\r\n]+", data)
        path, data = None, b"\n".join(line for line in lines if not line.lstrip().startswith(b"mtllib"))
    if path is None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"cell.{kind}"
            path.write_bytes(data)
            return _read(kind, data, path)
    return _read(kind, data, path)


def _read(kind: str, data: bytes, path: Path) -> Mesh | Points:
    try:
        import open3d
    except (ImportError, OSError) as error:
        raise PluginError(
            f"reading .{kind} needs open3d, which can't be imported ({error}): pip install open3d, "
            "and on Linux apt-get install libgl1 libgomp1 libusb-1.0-0"
        ) from error
    if kind in ("gltf", "glb"):
        _refuse_far_buffers(data, path.parent)
    with open3d.utility.VerbosityContextManager(open3d.utility.VerbosityLevel.Error):
        if kind == "pcd":
            points = np.asarray(open3d.io.read_point_cloud(path).points)
            if not len(points):
                raise ValueError("open3d finds no points in it")
            return points
        mesh = open3d.io.read_triangle_mesh(path)
        vertices, faces = np.asarray(mesh.vertices), np.asarray(mesh.triangles, dtype=np.int64)
    if not len(vertices):
        raise ValueError("open3d finds no mesh in it")
    return Mesh(vertices, faces) if len(faces) else vertices


def _refuse_far_buffers(data: bytes, folder: Path) -> None:
    """Raise ``DataError`` for a glTF file that names a file outside its folder: open3d would read it."""
    if data.startswith(b"glTF"):  # the binary form: a head of 12 bytes, then the JSON, its length and kind first
        data = data[20 : 20 + int.from_bytes(data[12:16], "little")]
    tree = parse(data)
    parts = [part for name in ("buffers", "images") for part in tree.get(name, [])] if isinstance(tree, dict) else []
    for part in parts:
        uri = part.get("uri") if isinstance(part, dict) else None
        if isinstance(uri, str) and not uri.startswith("data:"):
            cell_path(unquote(uri), folder)
            cell_path(uri, folder)
