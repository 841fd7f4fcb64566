"""Cameras, splats and rays: what is where in the picture, what is in front, and that both renderers agree."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from contrapose import ConfigError, Sample, build
from contrapose.errors import DataError, PluginError
from contrapose_pointcloud.cache import Cache
from contrapose_pointcloud.modality import PointCloud
from contrapose_pointcloud.render.camera import Camera, camera
from contrapose_pointcloud.render.relief import ball_radius
from contrapose_pointcloud.render.sight import of_points
from contrapose_pointcloud.render.splat import splat
from contrapose_pointcloud.render.views import render, turntable

Points = NDArray[np.float32]
FIXED: dict[str, Any] = {"cameras": 1, "elevation": (0, 0)}


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def ink(picture: NDArray[np.uint8]) -> NDArray[np.bool_]:
    return np.asarray((picture != picture[0, 0]).any(axis=2))


def ball(points: int = 4000) -> Points:
    drawn = rng().normal(size=(points, 3))
    return (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float32)


def box(*sides: float) -> bytes:
    """An OFF file of a box about the origin."""
    corners = [[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]
    rows = "\n".join(" ".join(str(c * s / 2) for c, s in zip(corner, sides, strict=True)) for corner in corners)
    faces = ["0 1 3 2", "4 6 7 5", "0 4 5 1", "2 3 7 6", "0 2 6 4", "1 5 7 3"]
    return f"OFF\n8 6 0\n{rows}\n".encode() + "\n".join(f"4 {f}" for f in faces).encode()


@pytest.mark.parametrize("fov", [0, 40, 90])
def test_a_camera_sees_the_whole_ball_with_up_above(fov: float) -> None:
    for eye in (Camera(0, 0, fov), Camera(77, 33, fov), Camera(200, -80, fov), Camera(10, 90, fov)):
        np.testing.assert_allclose(eye.axes @ eye.axes.T, np.eye(3), atol=1e-12)
        assert np.linalg.det(eye.axes) == pytest.approx(1)
        place, depth, _ = eye.project(ball().astype(float))
        assert 0.98 < np.abs(place).max() <= 1 + 1e-9
        assert depth.min() >= -1e-9
        assert depth.max() <= 2 + 1e-9
        if eye.elevation < 90:
            assert eye.project(np.array([[0, 0.5, 0]]))[0][0, 1] > 0
    front, side = Camera(0, 0, fov), Camera(90, 0, fov)
    at_x, at_z = np.array([[0.5, 0, 0]]), np.array([[0, 0, 0.5]])
    assert front.project(at_x)[0][0, 0] > 0
    assert front.project(at_z)[1][0] == pytest.approx(0.5)
    assert side.project(at_x)[1][0] == pytest.approx(0.5)
    assert side.project(at_z)[0][0, 0] < 0


@pytest.mark.parametrize("fov", [0, 40])
def test_rays_go_where_points_are_projected(fov: float) -> None:
    eye = Camera(30, 20, fov)
    rays = eye.rays(16).reshape(-1, 6)
    for t in (0.2, 1.0, 1.7):
        place, depth, _ = eye.project(rays[:, :3] + t * rays[:, 3:])
        np.testing.assert_allclose(depth, t, atol=1e-12)
        row, column = np.divmod(np.arange(256), 16)
        np.testing.assert_allclose(place, np.stack([column + 0.5, 15.5 - row], axis=1) / 8 - 1, atol=1e-12)


def test_view_points_are_a_finite_set_within_their_ranges() -> None:
    eyes = [camera(i, 12, 15, (-10, 30), 40) for i in range(12)]
    assert sorted(e.azimuth for e in eyes) == [15 + 30 * i for i in range(12)]
    heights = np.sort([e.elevation for e in eyes])
    assert -10 <= heights[0] < -4
    assert 24 < heights[-1] <= 30
    assert np.diff(heights).max() < 7
    assert camera(0, 1, 30, (10, 30), 40) == Camera(30, 20, 40)
    tall = np.concatenate([ball(300), ball(300) + np.arange(3)]).astype(np.float32)
    made = {render(tall, rng(seed), size=8, cameras=3).tobytes() for seed in range(20)}
    assert len(made) == 3


def test_the_nearest_point_hides_what_is_behind() -> None:
    centre, ones = np.array([[4.0, 4], [4, 4], [0, 0]]), np.ones(3)
    for depth in ([1.0, 0.5, 0.3], [0.5, 1.0, 0.3]):
        number, at, facing = splat(centre, np.array(depth), 2 * ones, 0 * ones, 9)
        assert number[4, 4] == np.argmin(depth[:2])
        assert at[4, 4] == 0.5
        assert facing[4, 4] == 1
        assert number[0, 0] == 2
        assert number[8, 8] == -1
        assert (number >= 0).sum() == 13 + 6
    number, at, _ = splat(centre[:2], np.array([1.0, 0.9]), np.array([3.0, 0.2]), np.array([0.5, 0]), 9)
    assert (number[4, 4], at[4, 4]) == (0, 0.5)  # a large ball stands out before a small one
    assert (splat(np.array([[40.0, 4]]), ones[:1], ones[:1], ones[:1], 9)[0] == -1).all()


def test_many_points_are_drawn_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = rng().uniform(0, 32, (500, 2)), rng(1).uniform(size=500), np.full(500, 2.5), np.full(500, 0.1), 32
    whole = splat(*arguments)
    monkeypatch.setattr("contrapose_pointcloud.render.splat._parts", lambda n, most: [slice(0, 7), slice(7, n)])
    for a, b in zip(whole, splat(*arguments), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("fov", [0.0, 40.0])
def test_a_ball_of_points_is_a_ball(fov: float) -> None:
    """Its outline, its depths and its normals, against those of a sphere."""
    xyz = ball().astype(float) * 0.95
    eye, size = Camera(30, 20, fov), 64
    sight = of_points(xyz, None, None, eye, size, ball_radius(xyz))
    rays = eye.rays(size)
    start, way = rays[..., :3], rays[..., 3:]
    a, b, c = (way**2).sum(-1), (start * way).sum(-1), (start**2).sum(-1) - 0.95**2
    root = b * b - a * c
    inside = root > 0.03
    t = (-b - np.sqrt(np.maximum(root, 0))) / a
    assert np.isfinite(sight.depth[inside]).all()
    assert np.isinf(sight.depth[root < -0.2]).all()
    assert np.abs(sight.depth - t)[inside].mean() < ball_radius(xyz)  # the foremost of the balls around a pixel
    normals = ((start + t[..., None] * way) / 0.95) @ eye.axes.T
    assert ((normals * sight.normals).sum(-1)[inside & (root > 0.2)] > 0.9).mean() > 0.98


def test_turning_the_camera_and_turning_the_thing_are_one() -> None:
    cloud = (rng().normal(size=(300, 3)) * [1, 0.5, 0.2]).astype(np.float32)
    turn = np.deg2rad(90)
    turned = cloud @ np.array([[np.cos(turn), 0, -np.sin(turn)], [0, 1, 0], [np.sin(turn), 0, np.cos(turn)]])
    a = render(cloud, rng(), mode="depth", azimuth=0, **FIXED)
    b = render(turned.astype(np.float32), rng(), mode="depth", azimuth=90, **FIXED)
    assert (a == b).mean() > 0.99  # but for rounding to pixels
    assert (a == render(cloud, rng(), mode="depth", azimuth=90, **FIXED)).mean() < 0.9


@pytest.mark.parametrize("mode", ["shaded", "depth", "normals"])
def test_modes_are_pictures(mode: Any) -> None:
    cloud = np.concatenate([ball(500), [[0, 2.5, 0]]]).astype(np.float32)  # a point high above
    made = render(cloud, rng(), size=32, mode=mode, **FIXED)
    assert made.shape == (32, 32, 3)
    assert made.dtype == np.uint8
    rows = ink(made).sum(axis=1)
    assert 0 < rows[:8].sum() < rows[-16:].sum()
    assert made[0, 0].tolist() == [255 if mode == "shaded" else 0] * 3
    if mode == "depth":
        assert (made[ink(made)] >= 55).all()


def test_colours_and_normals_of_the_cloud_are_used() -> None:
    xyz = ball(1000)
    red = np.concatenate([xyz, -xyz, np.broadcast_to([1, 0, 0], xyz.shape)], axis=1).astype(np.float32)
    made = render(red, rng(), size=32, normals=True, colours=True, **FIXED).astype(int)
    seen = ink(made)
    assert (made[seen][:, 0] > made[seen][:, 1]).all()
    inside_out = render(red, rng(), size=32, mode="normals", normals=True, **FIXED)
    estimated = render(xyz, rng(), size=32, mode="normals", **FIXED)
    middle = (slice(8, 24), slice(8, 24))
    assert inside_out[middle][..., 2].min() > 127  # normals face the camera
    assert np.abs(inside_out[middle].astype(int) - estimated[middle]).mean() < 12


class TestMeshes:
    @pytest.fixture(autouse=True)
    def _needs(self) -> None:
        pytest.importorskip("open3d", exc_type=ImportError)

    @pytest.mark.parametrize("mode", ["depth", "normals", "shaded"])
    @pytest.mark.parametrize("fov", [0.0, 40.0])
    def test_rays_and_splats_agree(self, mode: Any, fov: float) -> None:
        cloud = PointCloud(mesh_points=6000, keep_mesh=True).load({"c": box(2, 1, 0.5)}, Path())
        view = {"cameras": 1, "azimuth": 35, "elevation": (25, 25), "mode": mode, "fov": fov, "size": 48}
        splats, rays = (render(cloud, rng(), of=of, **view).astype(int) for of in ("points", "mesh"))
        both = ink(splats) & ink(rays)
        assert both.sum() / (ink(splats) | ink(rays)).sum() > 0.8
        assert np.median(np.abs(splats - rays)[both]) < 12

    def test_depths_of_a_box_are_its_sides(self) -> None:
        cloud = PointCloud(mesh_points=10, keep_mesh=True).load({"c": box(2, 2, 2)}, Path())
        made = render(cloud, rng(), size=32, mode="depth", of="mesh", fov=0, **FIXED)
        half = 1 / np.sqrt(3)
        assert set(np.unique(made)) == {0, round(255 - 100 * (1 - half))}
        assert ink(made)[:, 16].sum() == pytest.approx(32 * half, abs=1)

    def test_colours_lie_between_the_corners(self) -> None:
        data = b"COFF\n3 1 0\n-1 -1 0 255 0 0\n1 -1 0 0 255 0\n0 1 0 0 0 255\n3 0 1 2\n"
        cloud = PointCloud(mesh_points=10, keep_mesh=True, colours=True).load({"c": data}, Path())
        made = render(cloud, rng(), size=64, of="mesh", colours=True, **FIXED)
        seen = np.argwhere(ink(made))
        top, left = seen[seen[:, 0].argmin()], seen[seen[:, 0] > 40]
        left, right = left[left[:, 1].argmin()], left[left[:, 1].argmax()]
        assert made[top[0] + 2, top[1]].argmax() == 2
        assert made[left[0], left[1] + 2].argmax() == 0
        assert made[right[0], right[1] - 2].argmax() == 1

    def test_without_open3d_one_hears_what_to_install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        cloud = PointCloud(mesh_points=10, keep_mesh=True).load({"c": box(1, 1, 1)}, Path())
        monkeypatch.setitem(__import__("sys").modules, "open3d", None)
        with pytest.raises(PluginError, match="rendering a mesh needs open3d"):
            render(cloud, rng(), of="mesh")
        assert render(cloud, rng()).shape == (64, 64, 3)


def test_a_mesh_that_is_not_there_is_told() -> None:
    kept = PointCloud(mesh_points=10, keep_mesh=True).load({"c": box(1, 1, 1)}, Path())
    for cloud in (ball(10), PointCloud(mesh_points=10).load({"c": box(1, 1, 1)}, Path())):
        with pytest.raises(DataError, match="it has no mesh to render: set keep_mesh: true"):
            render(cloud, rng(), of="mesh")
    views = build("view", {"use": "pointcloud/render", "of": "mesh"})
    with pytest.raises(ConfigError, match="no view can come before it in a list"):
        views(Sample(0, {"pointcloud": kept[:5]}), rng())
    for wrong in ({"mode": "colour"}, {"elevation": [0, 100]}, {"size": 0}, {"fov": 170}, {"cameras": 0}):
        with pytest.raises(ConfigError):
            build("view", {"use": "pointcloud/render", **wrong})


def test_a_turntable_goes_once_around() -> None:
    cloud = np.concatenate([ball(300) * 0.3, [[1, 0, 0]]]).astype(np.float32)
    clip = turntable(cloud, rng(), frames=8, size=16, azimuth=0, elevation=0, mode="depth")
    assert clip.shape == (8, 16, 16, 3)
    assert clip.dtype == np.uint8
    for i in range(8):
        still = render(cloud, rng(), size=16, mode="depth", cameras=1, azimuth=45 * i, elevation=(0, 0))
        np.testing.assert_array_equal(clip[i], still)
    starts = [turntable(cloud, rng(s), frames=8, size=16, elevation=0, mode="depth") for s in range(12)]
    assert len({s.tobytes() for s in starts}) > 4
    assert all(any((np.roll(s, k, axis=0) == clip).all() for k in range(8)) for s in starts)


def test_pictures_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache, cloud = str(tmp_path), ball(100)
    first = render(cloud, rng(1), size=8, cache=cache)
    np.testing.assert_array_equal(first, render(cloud, rng(1), size=8))
    render(cloud * 2, rng(1), size=8, cache=cache)
    render(cloud, rng(1), size=9, cache=cache)
    render(cloud, rng(1), size=8, mode="depth", cache=cache)
    turntable(cloud, rng(1), frames=2, size=8, cache=cache)
    assert Cache(cache).size()[0] == 5
    for seed in range(30):
        render(cloud, rng(seed), size=8, cameras=3, cache=cache)
    assert Cache(cache).size()[0] == 8
    monkeypatch.setattr("contrapose_pointcloud.render.views.of_points", None)  # what is kept isn't drawn
    np.testing.assert_array_equal(first, render(cloud, rng(1), size=8, cache=cache))


def test_balls_close_a_surface_however_many_points_it_has() -> None:
    radii = [ball_radius(ball(n).astype(float)) for n in (400, 1600, 6400)]
    assert radii[0] / radii[1] == pytest.approx(2, rel=0.25)
    assert radii[1] / radii[2] == pytest.approx(2, rel=0.25)
    assert ball_radius(ball(40_000).astype(float)) == pytest.approx(radii[2] / np.sqrt(6.25), rel=0.25)
    for few in (np.zeros((1, 3)), np.zeros((9, 3)), np.eye(3)):
        assert 0.005 <= ball_radius(few) <= 0.25
