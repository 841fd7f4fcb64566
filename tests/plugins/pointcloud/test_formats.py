from __future__ import annotations

import contextlib
import io
import json
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from contrapose.errors import DataError, PluginError
from contrapose_pointcloud.formats.mesh import Mesh, sample_surface
from contrapose_pointcloud.formats.read import read
from contrapose_pointcloud.modality import PointCloud

Points = NDArray[np.float32]
SQUARE = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [5, 5, 5]], np.float32)  # the last in no face


def npy(points: Points) -> bytes:
    file = io.BytesIO()
    np.save(file, points)
    return file.getvalue()


def npz(**arrays: Points) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def ply(points: Points, faces: list[list[int]], kind: str) -> bytes:
    """With a colour before and a quality after the coordinates, an element of no interest, and a flag on each face."""
    head = (
        f"ply\nformat {kind} 1.0\ncomment made here\nelement camera 1\nproperty float zoom\n"
        f"element vertex {len(points)}\nproperty uchar red\nproperty float x\nproperty float y\nproperty float z\n"
        f"property double quality\nelement face {len(faces)}\nproperty list uchar int vertex_indices\nproperty uchar flag\n"
        "end_header\n"
    ).encode()
    if kind == "ascii":
        lines = ["2.5", *(f"7 {x} {y} {z} 0.5" for x, y, z in points)]
        lines += [" ".join(map(str, [len(f), *f, 1])) for f in faces]
        return head + "\n".join(lines).encode() + b"\n"
    order = "<" if kind == "binary_little_endian" else ">"
    body = struct.pack(f"{order}f", 2.5)
    body += b"".join(struct.pack(f"{order}Bfffd", 7, *map(float, p), 0.5) for p in points)
    body += b"".join(struct.pack(f"{order}B{len(f)}iB", len(f), *f, 1) for f in faces)
    return head + body


KINDS = ["ascii", "binary_little_endian", "binary_big_endian"]


@pytest.mark.parametrize("kind", KINDS)
def test_ply_points(cloud: Points, kind: str) -> None:
    np.testing.assert_allclose(read(ply(cloud, [], kind)), cloud, rtol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("faces", [[[0, 1, 2], [0, 2, 3]], [[0, 1, 2], [0, 1, 2, 3]], [[0, 1, 2, 3], [0, 1]]])
def test_ply_faces_even_and_uneven(kind: str, faces: list[list[int]]) -> None:
    mesh = read(ply(SQUARE, faces, kind))
    assert isinstance(mesh, Mesh)
    np.testing.assert_array_equal(mesh.vertices, SQUARE)
    triangles = [[f[0], f[i], f[i + 1]] for f in faces for i in range(1, len(f) - 1)]
    np.testing.assert_array_equal(mesh.faces, triangles)


@pytest.mark.parametrize("kind", KINDS)
def test_broken_ply_is_refused(cloud: Points, kind: str) -> None:
    whole = ply(cloud, [[0, 1, 2], [0, 1, 2, 3]], kind)
    for size in (3, 60, whole.index(b"end_header"), len(whole) * 2 // 3, len(whole) - 9):
        with pytest.raises(DataError, match="not a readable ply file"):
            read(whole[:size])
    with pytest.raises(DataError, match=r"x, y and z"):
        read(whole.replace(b"float x", b"float a"))


@pytest.mark.parametrize("head", ["OFF\n5 2 0\n", "OFF 5 2 0\n", "OFF5 2 0\n", "# note\nOFF\n\n5 2 0 # counts\n"])
def test_off(head: str) -> None:
    body = "".join(f"{x} {y} {z}\n" for x, y, z in SQUARE) + "4 0 1 2 3 0.1 0.2 0.3\n3 0 1 2\n"
    mesh = read((head + body).encode(), "a.off")
    assert isinstance(mesh, Mesh)
    np.testing.assert_array_equal(mesh.faces, [[0, 1, 2], [0, 2, 3], [0, 1, 2]])
    with pytest.raises(DataError, match=r"a\.off: not a readable off file"):
        read((head + body[: len(body) // 2]).encode(), "a.off")


def test_xyz_with_features_blanks_and_commas(cloud: Points) -> None:
    text = "# x y z f\n" + "\n".join(f"{x} {y},{z}; 4" for x, y, z in cloud)
    found = read(text.encode(), "scan.XYZ")
    np.testing.assert_allclose(found[:, :3], cloud, rtol=1e-6)
    assert (found[:, 3] == 4).all()
    with pytest.raises(DataError, match=r"scan\.txt"):
        read(b"one two three", "scan.txt")


def test_npy_and_npz(cloud: Points) -> None:
    np.testing.assert_array_equal(read(npy(cloud.astype(np.float16))), cloud.astype(np.float16))
    np.testing.assert_array_equal(read(npz(anything=cloud)), cloud)
    np.testing.assert_array_equal(read(npz(other=cloud[:3], points=cloud)), cloud)
    with pytest.raises(DataError, match="none is called points"):
        read(npz(a=cloud, b=cloud))


def test_nothing_is_unpickled() -> None:
    file = io.BytesIO()
    np.save(file, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match="not a readable npy file"):
        read(file.getvalue())


def test_unknown_formats_are_named() -> None:
    with pytest.raises(DataError, match=r"a\.las: no reader for \.las; there is \.npy"):
        read(b"LASF", "a.las")


def test_random_damage_never_escapes_as_another_error(cloud: Points) -> None:
    rng = np.random.default_rng(0)
    modality = PointCloud(mesh_points=16)
    whole = [npy(cloud), npz(points=cloud), *(ply(SQUARE, [[0, 1, 2], [0, 1, 2, 3]], kind) for kind in KINDS)]
    for data in map(np.frombuffer, whole, [np.uint8] * len(whole)):
        for _ in range(40):
            broken = data.copy()
            broken[rng.integers(0, len(data), 4)] = rng.integers(0, 256, 4)
            with contextlib.suppress(DataError):
                assert np.isfinite(modality.load({"c": broken.tobytes()}, Path())).all()


def test_sampling_is_even_by_area() -> None:
    vertices = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [10, 0, 0], [13, 0, 0], [10, 3, 0]], float)
    mesh = Mesh(vertices, np.array([[0, 1, 2], [3, 4, 5]]))
    points = sample_surface(mesh, 20_000, np.random.default_rng(0))
    large = points[points[:, 0] >= 10]
    assert abs(len(large) / 20_000 - 0.9) < 0.01
    np.testing.assert_allclose(large.mean(axis=0), [11, 1, 0], atol=0.03)  # a triangle's centre
    inside = (large[:, 0] - 10 >= 0) & (large[:, 1] >= 0) & (large[:, 0] - 10 + large[:, 1] <= 3 + 1e-9)
    assert inside.all()


def test_meshes_that_cannot_be_sampled() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="names vertex 9"):
        sample_surface(Mesh(SQUARE, np.array([[0, 1, 9]])), 5, rng)
    with pytest.raises(ValueError, match="no face with an area"):
        sample_surface(Mesh(SQUARE, np.array([[0, 0, 1]])), 5, rng)
    with pytest.raises(ValueError, match="no face with an area"):
        sample_surface(Mesh(SQUARE, np.zeros((0, 3), np.int64)), 5, rng)


def glb(vertices: Points, faces: NDArray[np.uint32]) -> bytes:
    body = vertices.tobytes() + faces.tobytes()
    views = [
        {"byteOffset": 0, "byteLength": vertices.nbytes},
        {"byteOffset": vertices.nbytes, "byteLength": faces.nbytes},
    ]
    low, high = vertices.min(axis=0).tolist(), vertices.max(axis=0).tolist()
    scene = {
        "asset": {"version": "2.0"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0}],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0}, "indices": 1}]}],
        "accessors": [
            {"bufferView": 0, "componentType": 5126, "count": len(vertices), "type": "VEC3", "min": low, "max": high},
            {"bufferView": 1, "componentType": 5125, "count": faces.size, "type": "SCALAR"},
        ],
        "bufferViews": [{"buffer": 0, **view} for view in views],
        "buffers": [{"byteLength": len(body)}],
    }
    text = json.dumps(scene).encode()
    text += b" " * (-len(text) % 4)
    chunks = struct.pack("<I4s", len(text), b"JSON") + text + struct.pack("<I4s", len(body), b"BIN\0") + body
    return struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks


def open3d_works() -> bool:
    return subprocess.run([sys.executable, "-c", "import open3d"], capture_output=True).returncode == 0


@pytest.mark.skipif(not open3d_works(), reason="open3d can't be imported here")
class TestOpen3d:
    OBJ = b"v 0 0 0\nv 2 0 0\nv 0 1 0\nf 1 2 3\n"
    PCD = (
        b"# .PCD v.7\nVERSION .7\nFIELDS x y z\nSIZE 4 4 4\nTYPE F F F\nCOUNT 1 1 1\nWIDTH 3\nHEIGHT 1\n"
        b"VIEWPOINT 0 0 0 1 0 0 0\nPOINTS 3\nDATA ascii\n0 0 0\nnan nan nan\n1 2 3\n"
    )

    def test_pcd_from_bytes_without_its_invalid_points(self) -> None:
        points = PointCloud().load({"c": self.PCD}, Path())
        np.testing.assert_array_equal(points, [[0, 0, 0], [1, 2, 3]])

    @pytest.mark.parametrize("kind", ["obj", "stl", "gltf", "glb"])
    def test_meshes_are_sampled_the_same_each_time(self, tmp_path: Path, kind: str) -> None:
        (tmp_path / "sub").mkdir()
        path = tmp_path / "sub" / f"a.{kind}"
        if kind == "obj":
            path.write_bytes(self.OBJ)
        elif kind == "glb":  # open3d can't read what it writes
            path.write_bytes(glb(np.array([[0, 0, 0], [2, 0, 0], [0, 1, 0]], "<f4"), np.array([0, 1, 2], "<u4")))
        else:
            import open3d

            vertices = open3d.utility.Vector3dVector([[0, 0, 0], [2, 0, 0], [0, 1, 0]])
            mesh = open3d.geometry.TriangleMesh(vertices, open3d.utility.Vector3iVector([[0, 1, 2]]))
            mesh.compute_vertex_normals()
            assert open3d.io.write_triangle_mesh(str(path), mesh)
        first, second = (PointCloud(mesh_points=500).load({"c": f"sub/a.{kind}"}, tmp_path) for _ in range(2))
        np.testing.assert_array_equal(first, second)
        assert first.shape == (500, 3)
        np.testing.assert_allclose(first.mean(axis=0), [2 / 3, 1 / 3, 0], atol=0.06)

    def test_broken_files_are_refused(self, tmp_path: Path) -> None:
        (tmp_path / "a.obj").write_bytes(b"nothing")
        with pytest.raises(DataError, match=r"a\.obj: not a readable obj file"):
            PointCloud().load({"c": "a.obj"}, tmp_path)


def test_without_open3d_one_hears_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "open3d", None)
    with pytest.raises(PluginError, match=r"reading \.obj needs open3d.*pip install open3d"):
        read(b"v 0 0 0\n", "a.obj")
