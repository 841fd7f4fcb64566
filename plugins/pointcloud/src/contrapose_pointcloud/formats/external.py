"""Formats that open3d reads: pcd, obj, stl, gltf and glb. It is imported when the first such file is met."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from contrapose.errors import PluginError
from contrapose_pointcloud.formats.mesh import Mesh, Points


def read_with_open3d(kind: str, data: bytes, path: Path | None) -> Mesh | Points:
    """Read ``data``, in the format ``kind`` ("pcd"), or the file at ``path``, whose neighbours (.mtl, .bin) it may need.

    Raises ``PluginError`` where open3d can't be imported, ``ValueError`` where the file holds nothing that it can read.
    """
    if path is None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"cell.{kind}"
            path.write_bytes(data)
            return read_with_open3d(kind, data, path)
    try:
        import open3d
    except (ImportError, OSError) as error:
        raise PluginError(
            f"reading .{kind} needs open3d, which can't be imported ({error}): pip install open3d, "
            "and on Linux apt-get install libgl1 libgomp1 libusb-1.0-0"
        ) from error
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
