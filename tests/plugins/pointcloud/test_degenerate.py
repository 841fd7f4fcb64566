"""Clouds and meshes that are hardly any: each is refused in one line, or passes through every view and every encoder."""

from __future__ import annotations

import io
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from contrapose import Sample, build, registry
from contrapose.errors import DataError
from contrapose_pointcloud.modality import PointCloud

Points = NDArray[np.float32]
LINE = np.linspace(0, 1, 40)[:, None] * [3.0, 1.0, 2.0]
PLANE = np.random.default_rng(0).uniform(size=(60, 3)) * [1, 0, 1]
NANS = np.where(np.arange(90).reshape(30, 3) % 7, np.random.default_rng(1).normal(size=(30, 3)), np.nan)
TRIANGLE = b"OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 2\n"
HANDLED: dict[str, Any] = {
    "one point": np.ones((1, 3)),
    "two points": np.array([[0, 0, 0], [1, 0, 0.0]]),
    "all in one place": np.full((50, 3), 7.5),
    "a line": LINE,
    "a plane": PLANE,
    "far away": PLANE + 1e6,
    "huge": PLANE * 1e18,
    "tiny": PLANE * 1e-30,
    "some nan": NANS,
    "one triangle": TRIANGLE,
}
VIEWS = [o.name for o in registry().offers("view") if o.spec.modality == "pointcloud"]
ENCODERS: dict[str, dict[str, Any]] = {
    "pointcloud/pointnet": {"width": 0.25, "emb": 16},
    "pointcloud/pointnet2": {"points": 16, "radius": 0.4, "k": 8, "width": 0.25, "emb": 16},
    "pointcloud/dgcnn": {"k": 8, "width": 0.25, "emb": 16},
    "pointcloud/point-transformer": {"k": 8, "width": 0.25},
}


def loaded(cell: Any) -> Points:
    return PointCloud(mesh_points=64, keep_mesh=True).load({"c": cell}, Path())


@pytest.mark.parametrize("name", HANDLED)
def test_each_passes_through_every_view(name: str) -> None:
    cloud = loaded(HANDLED[name])
    assert cloud.dtype == np.float32
    assert np.isfinite(cloud).all()
    with np.errstate(all="raise", under="ignore"):
        for view in VIEWS:
            for seed in range(2):
                size = {"size": 8} if view.endswith(("render", "turntable")) else {}
                for made in build("view", {"use": view, **size})(
                    Sample(0, {"pointcloud": cloud}), np.random.default_rng(seed)
                ):
                    assert np.isfinite(made.data).all(), view
                    assert len(made.data), view


@pytest.mark.parametrize("encoder", ENCODERS)
def test_each_passes_through_every_encoder(encoder: str) -> None:
    """Alone and beside the others; by training's and evaluation's normalisation, with finite gradients."""
    clouds = {name: loaded(cell) for name, cell in HANDLED.items()}
    view = build("view", {"use": "pointcloud/eval", "points": 64})
    rng = np.random.default_rng(0)
    batch = PointCloud().collate([view(Sample(0, {"pointcloud": c}), rng)[0].data for c in clouds.values()])
    net = build("encoder", {"use": encoder, **ENCODERS[encoder]})
    out = net(batch)["pooled"]
    out.square().sum().backward()
    assert out.isfinite().all()
    assert all(p.grad.isfinite().all() for p in net.parameters() if p.grad is not None)
    net.eval()
    with torch.no_grad():
        for name, cloud in zip(clouds, batch, strict=True):
            assert net(cloud[None])["pooled"].isfinite().all(), name


def test_a_mesh_of_one_triangle_is_rendered() -> None:
    pytest.importorskip("open3d", exc_type=ImportError)
    for mode in ("shaded", "depth", "normals"):
        view = build("view", {"use": "pointcloud/render", "size": 16, "mode": mode, "of": "mesh", "cameras": 1})
        (made,) = view(Sample(0, {"pointcloud": loaded(TRIANGLE)}), np.random.default_rng(0))
        assert made.data.std() > 0


@pytest.mark.parametrize(
    ("cell", "why"),
    [
        (np.zeros((0, 3)), "no point with finite coordinates"),
        (np.full((4, 3), np.nan), "no point with finite coordinates"),
        (PLANE * 1e19, r"coordinates reach 1e\+19, more than 1e\+18"),
        (b"OFF\n0 0 0\n", "it has no vertices"),
        (TRIANGLE.replace(b"0 1 0\n3", b"2 0 0\n3"), "no face with an area"),
        (TRIANGLE.replace(b"1 0 0", b"nan 0 0"), "no face with an area"),
        (TRIANGLE[:-9], "the file ends too early"),
        (b"", "no reader|empty"),
        (b"ply\nformat ascii 1.0\n", "the header has no end"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(cell: Any, why: str) -> None:
    with pytest.raises(DataError, match=why) as refused:
        loaded(cell)
    assert len(str(refused.value).splitlines()) == 1


PCD = "VERSION .7\nFIELDS x y z\nSIZE 4 4 4\nTYPE F F F\nCOUNT 1 1 1\nWIDTH {0}\nHEIGHT 1\nVIEWPOINT 0 0 0 1 0 0 0\nPOINTS {0}\n"


@pytest.mark.parametrize("kind", ["ply", "pcd", "obj", "off", "stl", "gltf", "glb", "xyz", "npy", "npz"])
def test_each_format_refuses_another_ones_bytes(kind: str, tmp_path: Path) -> None:
    """A picture, nothing, and noise under the name of each format."""
    if kind in ("pcd", "obj", "stl", "gltf", "glb"):
        pytest.importorskip("open3d", exc_type=ImportError)
    for content in (b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 4, b"", np.random.default_rng(0).bytes(2000)):
        (tmp_path / f"a.{kind}").write_bytes(content)
        with pytest.raises(DataError, match=rf"^a\.{kind}: ") as refused:
            PointCloud().load({"c": f"a.{kind}"}, tmp_path)
        assert len(str(refused.value).splitlines()) == 1


def test_truncated_files_of_open3d_are_refused(tmp_path: Path) -> None:
    open3d = pytest.importorskip("open3d", exc_type=ImportError)
    mesh = open3d.geometry.TriangleMesh.create_torus()
    mesh.compute_vertex_normals()
    open3d.io.write_triangle_mesh(str(tmp_path / "a.stl"), mesh)
    open3d.io.write_triangle_mesh(str(tmp_path / "a.gltf"), mesh)
    cloud = mesh.sample_points_uniformly(100)
    open3d.io.write_point_cloud(str(tmp_path / "binary.pcd"), cloud)
    open3d.io.write_point_cloud(str(tmp_path / "text.pcd"), cloud, write_ascii=True)
    open3d.io.write_point_cloud(str(tmp_path / "packed.pcd"), cloud, compressed=True)
    for name in ("a.stl", "a.gltf", "binary.pcd", "text.pcd", "packed.pcd"):
        whole = (tmp_path / name).read_bytes()
        assert len(PointCloud(mesh_points=100).load({"c": name}, tmp_path)) == 100
        for share in (0.9, 0.5, 0.05):
            (tmp_path / f"short.{name}").write_bytes(whole[: int(share * len(whole))])
            with pytest.raises(DataError, match=f"^short.{name}: not a readable"):
                PointCloud().load({"c": f"short.{name}"}, tmp_path)


@pytest.mark.parametrize("points", [pytest.param(10_000_000, marks=pytest.mark.slow), 200_000])
def test_a_large_cloud_is_thinned_before_it_is_copied(points: int) -> None:
    file = io.BytesIO()
    np.save(file, np.random.default_rng(0).uniform(size=(points, 3)).astype(np.float32))
    most, data = points // 10, file.getvalue()
    tracemalloc.start()
    first = PointCloud(most_points=most).load({"c": data}, Path())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert first.shape == (most, 3)
    assert peak < 2.6 * len(data)
    np.testing.assert_array_equal(first, PointCloud(most_points=most).load({"c": data}, Path()))
    assert abs(first.mean() - 0.5) < 0.01
    order = np.load(io.BytesIO(data))
    kept = np.flatnonzero(np.isin(order[:, 0], first[:, 0]))
    assert (np.diff(kept) >= 0).all()
