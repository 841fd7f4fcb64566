"""One way in for every format: by what the bytes look like, then by the name of the file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from contrapose.errors import ContraposeError, DataError
from contrapose_pointcloud.formats.external import read_with_open3d
from contrapose_pointcloud.formats.mesh import Mesh, Points
from contrapose_pointcloud.formats.plain import read_npy, read_npz, read_off, read_xyz
from contrapose_pointcloud.formats.ply import read_ply

_OWN: dict[str, Callable[..., Mesh | Points]] = {
    "npy": read_npy,
    "npz": read_npz,
    "ply": read_ply,
    "off": read_off,
    "xyz": read_xyz,
}
_OPEN3D = ("pcd", "obj", "stl", "gltf", "glb")
_ALIASES = {"txt": "xyz", "": "xyz"}
_MAGIC = {
    b"\x93NUMPY": "npy",
    b"PK\x03\x04": "npz",
    b"ply": "ply",
    b"OFF": "off",
    b"COFF": "off",
    b"# .PCD": "pcd",
    b"glTF": "glb",
    b"solid": "stl",
}

EXTENSIONS = tuple(f".{kind}" for kind in (*_OWN, *_OPEN3D))


def read(
    data: bytes, name: str = "", path: Path | None = None, normals: bool = False, colours: bool = False
) -> Mesh | Points:
    """Points (N, 3 or more) or a mesh from the bytes of a file called ``name`` (``""`` if it has none), which lies at ``path``.

    ``normals`` and ``colours`` ask for these of a format that names its columns: points get them after x y z in this order, a
    mesh gets colours. Arrays and rows of numbers come as they are.

    Raises ``DataError`` in one line, also where the file lacks what is asked for, ``PluginError`` where open3d is needed and can't
    be imported.
    """
    suffix = Path(name).suffix.lstrip(".").lower()
    kind = next((kind for magic, kind in _MAGIC.items() if data.startswith(magic)), _ALIASES.get(suffix, suffix))
    where = name or f"a point cloud of {len(data)} bytes"
    if kind not in _OWN and kind not in _OPEN3D:
        raise DataError(f"{where}: no reader for .{kind}; there is {', '.join(EXTENSIONS)}")
    try:
        if kind == "ply":
            return read_ply(data, normals, colours)
        if kind == "off":
            return read_off(data, colours)
        return _OWN[kind](data) if kind in _OWN else read_with_open3d(kind, data, path, normals, colours)
    except ContraposeError:
        raise
    except Exception as error:  # a broken file may raise anything; whoever reads the message needs which file and why
        raise DataError(
            f"{where}: not a readable {kind} file: {' '.join(str(error).split()) or type(error).__name__}"
        ) from error
