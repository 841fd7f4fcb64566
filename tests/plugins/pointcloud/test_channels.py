"""Normals and colours: where they come from, where they stand, and that what turns a cloud turns its normals."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from contrapose import Sample, build
from contrapose.errors import DataError, PluginError
from contrapose_pointcloud import batched
from contrapose_pointcloud.formats.mesh import Mesh, Sampled
from contrapose_pointcloud.modality import PointCloud
from contrapose_pointcloud.views import rotate

Points = NDArray[np.float32]
SLOPE = b"COFF\n3 1 0\n0 0 0 255 0 0\n2 0 0 0 255 0\n0 1 1 0 0 255\n3 0 1 2\n"
OUT = np.array([0, -1, 1]) / np.sqrt(2)  # by the order of its corners


def ply(kind: str, head: str, rows: str, faces: str = "") -> bytes:
    count = len(rows.strip().splitlines())
    more = f"element face {len(faces.splitlines())}\nproperty list uchar int vertex_indices\n" if faces else ""
    return f"ply\nformat {kind} 1.0\nelement vertex {count}\n{head}{more}end_header\n{rows}{faces}".encode()


XYZ = "property float x\nproperty float y\nproperty float z\n"
NORMAL = "property float nx\nproperty float ny\nproperty float nz\n"
PAINT = "property uchar red\nproperty uchar green\nproperty uchar blue\n"


def sphere(points: int = 400) -> Points:
    """Points of the unit sphere, whose normals are the points themselves."""
    drawn = np.random.default_rng(0).normal(size=(points, 3))
    drawn /= np.linalg.norm(drawn, axis=1, keepdims=True)
    return np.concatenate([drawn, drawn, np.arange(points)[:, None]], axis=1).astype(np.float32)


def test_a_mesh_gives_the_normals_of_its_faces_and_colours_between_its_corners() -> None:
    both = PointCloud(mesh_points=500, normals=True, colours=True).load({"c": SLOPE}, Path())
    assert both.shape == (500, 9)
    np.testing.assert_allclose(both[:, 3:6], np.broadcast_to(OUT, (500, 3)), atol=1e-6)
    corners = np.array([[0, 0, 0], [2, 0, 0], [0, 1, 1]])
    np.testing.assert_allclose(both[:, 6:] @ corners, both[:, :3], atol=1e-5)  # colours are the places' own weights
    np.testing.assert_array_equal(both[:, :3], PointCloud(mesh_points=500).load({"c": SLOPE}, Path()))
    colours = PointCloud(mesh_points=500, colours=True).load({"c": SLOPE}, Path())
    np.testing.assert_array_equal(colours[:, 3:], both[:, 6:])


def test_a_ply_gives_its_normals_and_colours_in_our_order() -> None:
    data = ply("ascii", PAINT + NORMAL + XYZ, "255 0 51 0 0 2 1 2 3\n0 102 0 1 0 0 4 5 6\n")
    found = PointCloud(normals=True, colours=True).load({"c": data}, Path())
    np.testing.assert_allclose(found, [[1, 2, 3, 0, 0, 1, 1, 0, 0.2], [4, 5, 6, 1, 0, 0, 0, 0.4, 0]], rtol=1e-6)
    assert PointCloud().load({"c": data}, Path()).shape == (2, 3)
    mesh = ply("ascii", XYZ + PAINT, "0 0 0 255 0 0\n1 0 0 255 0 0\n0 1 0 255 0 0\n", "3 0 1 2\n")
    painted = PointCloud(mesh_points=9, colours=True).load({"c": mesh}, Path())
    np.testing.assert_allclose(painted[:, 3:], np.broadcast_to([1, 0, 0], (9, 3)), atol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "data", "why"),
    [
        ({"normals": True}, ply("ascii", XYZ, "1 2 3\n"), r"no vertex element with normals \(nx, ny, nz\)"),
        ({"colours": True}, ply("ascii", XYZ, "1 2 3\n"), "no vertex element with colours"),
        ({"colours": True}, SLOPE.replace(b"COFF", b"OFF"), "its vertices have no colours"),
        ({"normals": True, "colours": True}, np.zeros((4, 6)), "with normals and colours points have 9 columns"),
        ({"normals": True}, b"OFF\n1 0 0\n0 0 0\n", "with normals points have 6 columns or more, not 3"),
        ({"colours": True}, np.full((4, 6), 255.0), r"colours are in \[0, 1\], but these reach from 255 to 255"),
    ],
)
def test_what_is_asked_for_and_not_there_is_refused(arguments: dict[str, Any], data: Any, why: str) -> None:
    with pytest.raises(DataError, match=why):
        PointCloud(**arguments).load({"c": data}, Path())


def test_normals_of_arrays_become_unit_vectors_and_nought_stays() -> None:
    found = PointCloud(normals=True).load({"c": np.array([[1, 2, 3, 0, 0, 5, 7], [1, 2, 3, 0, 0, 0, 7]])}, Path())
    np.testing.assert_array_equal(found, [[1, 2, 3, 0, 0, 1, 7], [1, 2, 3, 0, 0, 0, 7]])


def test_views_and_encoders_hear_of_the_columns() -> None:
    assert PointCloud().facts() == {"normals": False, "colours": False}
    facts = PointCloud(normals=True, colours=True).facts()
    assert facts == {"normals": True, "colours": True, "channels": 9}
    assert build("encoder", "pointcloud/pointnet", **facts).channels == 9
    assert build("encoder", {"use": "pointcloud/pointnet", "channels": 3}, **facts).channels == 3


@pytest.mark.parametrize(
    "node",
    [
        {"use": "rotate"},
        {"use": "rotate", "axis": "any"},
        {"use": "perturb", "sigma": 0.2},
        "depthcontrast",
        "pointcontrast",
    ],
)
def test_what_turns_a_sphere_turns_its_normals(node: Any) -> None:
    """After any rotation, mirroring, shift and scale the normals of a sphere point from its centre."""
    generator = build("view", node, normals=True)
    for seed in range(4):
        for made in generator(Sample(0, {"pointcloud": sphere()}), np.random.default_rng(seed)):
            xyz, normals = made.data[:, :3].astype(float), made.data[:, 3:6]
            centre = np.linalg.lstsq(np.c_[2 * xyz, np.ones(len(xyz))], (xyz**2).sum(axis=1), rcond=None)[0][:3]
            out = xyz - centre
            np.testing.assert_allclose(normals, out / np.linalg.norm(out, axis=1, keepdims=True), atol=1e-3)
            assert np.abs(normals - sphere()[made.data[:, 6].astype(int), 3:6]).max() > 0.1  # it did turn


@pytest.mark.parametrize("name", ["crosspoint", "ulip"])
def test_recipes_turn_normals_as_they_turn_points(name: str) -> None:
    cloud = sphere()
    (made,) = build("view", {"use": f"pointcloud/{name}", "points": 400}, normals=True)(
        Sample(0, {"pointcloud": cloud}), np.random.default_rng(0)
    )
    kept = made.data[made.data[:, 6] != made.data[0, 6]]
    turn = np.linalg.lstsq(cloud[kept[:, 6].astype(int), :3], kept[:, 3:6], rcond=None)[0]
    np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-5)
    assert np.abs(turn - np.eye(3)).max() > 0.1


def test_without_normals_further_columns_stay_as_they_are() -> None:
    made = rotate(sphere(), np.random.default_rng(0), axis="any")
    np.testing.assert_array_equal(made[:, 3:], sphere()[:, 3:])


@pytest.mark.parametrize("turn", [partial(batched.rotate, axis="any"), batched.perturb])
def test_batched_turns_take_normals_along(turn: Any) -> None:
    clouds = torch.from_numpy(np.stack([sphere(), sphere()[::-1].copy()]))
    made = turn(clouds, torch.Generator().manual_seed(0), normals=True)
    torch.testing.assert_close(made[..., 6:], clouds[..., 6:])
    torch.testing.assert_close(made[..., 3:6], made[..., :3])
    assert (made[..., :3] - clouds[..., :3]).abs().max() > 0.03


def test_bent_normals_stay_normal_to_the_bent_surface() -> None:
    """On a bent plane, against differences between places close together."""
    side = np.linspace(-1, 1, 201)
    x, z = (grid.ravel() for grid in np.meshgrid(side, side, indexing="ij"))
    plane = np.stack([x, 0 * x, z, 0 * x, 0 * x + 1, 0 * x], axis=1).astype(np.float32)
    generator = build("view", {"use": "pointcloud/elastic", "grain": 0.25, "magnitude": 0.5}, normals=True)
    (made,) = generator(Sample(0, {"pointcloud": plane}), np.random.default_rng(3))
    grid = made.data.reshape(201, 201, 6).astype(float)
    along_x, along_z = grid[2:, 1:-1, :3] - grid[:-2, 1:-1, :3], grid[1:-1, 2:, :3] - grid[1:-1, :-2, :3]
    wanted = np.cross(along_z, along_x)
    wanted /= np.linalg.norm(wanted, axis=2, keepdims=True)
    cosines = (wanted * grid[1:-1, 1:-1, 3:]).sum(axis=2)
    assert np.quantile(cosines, 0.05) > 0.999  # but for the field's kinks, where a cell ends
    assert wanted[..., 1].min() < 0.95  # it was bent
    np.testing.assert_allclose(np.linalg.norm(grid[..., 3:], axis=2), 1, atol=1e-5)


class TestOpen3d:
    @pytest.fixture(autouse=True)
    def _needs(self) -> None:
        pytest.importorskip("open3d", exc_type=ImportError)

    def test_poisson_disks_keep_apart_and_keep_their_columns(self) -> None:
        uniform, poisson = (
            PointCloud(mesh_points=200, sample=sample, normals=True, colours=True).load({"c": SLOPE}, Path())
            for sample in ("uniform", "poisson")
        )
        again = PointCloud(mesh_points=200, sample="poisson", normals=True, colours=True).load({"c": SLOPE}, Path())
        np.testing.assert_array_equal(poisson, again)
        assert poisson.shape == (200, 9)
        corners = np.array([[0, 0, 0], [2, 0, 0], [0, 1, 1]])
        np.testing.assert_allclose(poisson[:, 6:] @ corners, poisson[:, :3], atol=1e-5)

        def closest(cloud: Points) -> float:
            away = np.linalg.norm(cloud[:, None, :3] - cloud[:, :3], axis=2) + 9 * np.eye(len(cloud))
            return float(np.quantile(away.min(axis=1), 0.05))

        assert closest(poisson) > 3 * closest(uniform)

    @pytest.mark.parametrize("kind", ["pcd", "obj", "gltf"])
    def test_files_that_open3d_reads_give_theirs(self, tmp_path: Path, kind: str) -> None:
        import open3d

        vertices = open3d.utility.Vector3dVector([[0, 0, 0], [2, 0, 0], [0, 1, 1]])
        paint = open3d.utility.Vector3dVector([[1, 0, 0], [0, 1, 0], [0, 0, 1]])
        path = tmp_path / f"a.{kind}"
        if kind == "pcd":
            cloud = open3d.geometry.PointCloud(vertices)
            cloud.colors, cloud.normals = paint, open3d.utility.Vector3dVector([OUT] * 3)
            assert open3d.io.write_point_cloud(str(path), cloud)
        else:
            mesh = open3d.geometry.TriangleMesh(vertices, open3d.utility.Vector3iVector([[0, 1, 2]]))
            mesh.vertex_colors = paint
            assert open3d.io.write_triangle_mesh(str(path), mesh)
        found = PointCloud(mesh_points=50, normals=True, colours=True).load({"c": path.name}, tmp_path)
        np.testing.assert_allclose(found[:, 3:6], np.broadcast_to(OUT, (len(found), 3)), atol=1e-5)
        np.testing.assert_allclose(
            found[:, 6:] @ [[0, 0, 0], [2, 0, 0], [0, 1, 1]], found[:, :3], atol=2e-2 if kind == "gltf" else 1e-2
        )

    def test_poisson_without_open3d_says_what_to_install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(__import__("sys").modules, "open3d", None)
        with pytest.raises(PluginError, match="sample: poisson needs open3d"):
            PointCloud(sample="poisson").load({"c": SLOPE}, Path())


def test_points_know_their_mesh_until_they_are_moved() -> None:
    import pickle

    points = PointCloud(mesh_points=10, keep_mesh=True).load({"c": SLOPE}, Path())
    assert isinstance(points, Sampled)
    assert isinstance(points.mesh, Mesh)
    again = pickle.loads(pickle.dumps(points))
    np.testing.assert_array_equal(again.mesh.vertices, points.mesh.vertices)
    np.testing.assert_array_equal(again, points)
    assert not isinstance(PointCloud(mesh_points=10).load({"c": SLOPE}, Path()), Sampled)
    for made in (points[:5], points * 2, points.astype(np.float64), pickle.loads(pickle.dumps(points[:5]))):
        assert getattr(made, "mesh", None) is None
