"""What open3d does: it reads pcd, obj, stl, gltf and glb, and thins points. It is imported when it is first needed."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np

from contrapose.config.json import parse
from contrapose.data.cells import cell_path
from contrapose.errors import PluginError
from contrapose_pointcloud.formats.mesh import Mesh, Points, joined


def import_open3d(what: str) -> Any:
    """open3d, or ``PluginError`` saying that ``what`` needs it, and how to install it."""
    try:
        import open3d
    except (ImportError, OSError) as error:
        raise PluginError(
            f"{what} needs open3d, which can't be imported ({error}): pip install open3d, "
            "and on Linux apt-get install libgl1 libgomp1 libusb-1.0-0"
        ) from error
    return open3d


def read_with_open3d(kind: str, data: bytes, path: Path | None, normals: bool, colours: bool) -> Mesh | Points:
    """Read ``data``, in the format ``kind`` ("pcd"), or the file at ``path``, whose neighbours (.bin) it may need.

    Of neighbours, those in the file's own folder alone. Raises ``DataError`` where it names others, ``PluginError`` where open3d
    can't be imported, ``ValueError`` where the file holds nothing that it can read, or lacks what is asked for.
    """
    if kind == "obj":  # alone, without the material files that it names, whose paths could lead anywhere
        lines = re.split(rb"[\r\n]+", data)
        path, data = None, b"\n".join(line for line in lines if not line.lstrip().startswith(b"mtllib"))
    if kind == "pcd":
        _refuse_short_pcd(data)
    if path is None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"cell.{kind}"
            path.write_bytes(data)
            return _read(kind, data, path, normals, colours)
    return _read(kind, data, path, normals, colours)


def thin(points: Points, mesh: Mesh, count: int) -> Points:
    """Those ``count`` of points (N, 3 + C), in some order, that keep farthest apart, as a Poisson disk's do.

    Source: Yuksel, Sample elimination for generating Poisson disk sample sets, 2015, as open3d does it.
    """
    open3d = import_open3d("sample: poisson")
    vertices = open3d.utility.Vector3dVector(mesh.vertices)
    surface = open3d.geometry.TriangleMesh(vertices, open3d.utility.Vector3iVector(mesh.faces))
    pool = open3d.geometry.PointCloud(open3d.utility.Vector3dVector(points[:, :3]))
    numbers = np.zeros((len(points), 3))
    numbers[:, 0] = np.arange(len(points))
    pool.colors = open3d.utility.Vector3dVector(numbers)  # a colour stays with its point, and so does a row's number
    kept = surface.sample_points_poisson_disk(count, pcl=pool)
    chosen: Points = points[np.asarray(kept.colors)[:, 0].astype(int)]
    return chosen


def _read(kind: str, data: bytes, path: Path, normals: bool, colours: bool) -> Mesh | Points:
    open3d = import_open3d(f"reading .{kind}")
    if kind in ("gltf", "glb"):
        _refuse_far_buffers(data, path.parent)
    with open3d.utility.VerbosityContextManager(open3d.utility.VerbosityLevel.Error):
        if kind == "pcd":
            cloud = open3d.io.read_point_cloud(path)
            if not len(cloud.points):
                raise ValueError("open3d finds no points in it")
            return joined(cloud.points, cloud.normals if normals else None, cloud.colors if colours else None)
        mesh = open3d.io.read_triangle_mesh(path)
        vertices, faces = np.asarray(mesh.vertices), np.asarray(mesh.triangles, dtype=np.int64)
    if not len(vertices):
        raise ValueError("open3d finds no mesh in it")
    painted = np.asarray(mesh.vertex_colors) if colours else None
    if len(faces) and painted is not None and len(painted) != len(vertices):
        raise ValueError("its vertices have no colours")
    return (
        Mesh(vertices, faces, painted)
        if len(faces)
        else joined(vertices, mesh.vertex_normals if normals else None, painted)
    )


def _refuse_short_pcd(data: bytes) -> None:
    """Raise ``ValueError`` for a text file with fewer lines than points: open3d would make up the others."""
    head, mark, rest = data.partition(b"DATA ascii")
    count = re.search(rb"^POINTS (\d+)", head, re.M)
    lines = sum(bool(line.strip()) for line in rest.splitlines())
    if mark and count and lines < int(count[1]):
        raise ValueError(f"it says to have {int(count[1])} points, but has {lines}")


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
