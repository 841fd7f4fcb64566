"""Cuboids and occlusion, bending and choosing: what each view is, and clouds that have hardly a shape."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from contrapose import ConfigError, Sample, build
from contrapose_pointcloud.regions import cuboid_crop, cuboid_drop, occlude
from contrapose_pointcloud.shape import elastic, fps
from contrapose_pointcloud.views import direction, rotate

Points = NDArray[np.float32]
DEGENERATE = {
    "one point": np.full((1, 3), 7.0, np.float32),
    "all in one place": np.full((50, 3), -2.5, np.float32),
    "flat": np.random.default_rng(0).normal(size=(300, 3)).astype(np.float32) * [1, 0, 1],
    "a line": np.random.default_rng(0).normal(size=(300, 3)).astype(np.float32) * [0, 1, 0],
    "two heaps": np.repeat(np.eye(2, 3, dtype=np.float32), 20, axis=0),
}


def rngs(count: int) -> list[np.random.Generator]:
    return [np.random.default_rng(seed) for seed in range(count)]


def numbered(points: NDArray[np.floating]) -> Points:
    """The cloud with each point's number as a feature."""
    return np.concatenate([points, np.arange(len(points))[:, None]], axis=1).astype(np.float32)


def sphere(count: int, seed: int = 0) -> NDArray[np.float64]:
    drawn = np.random.default_rng(seed).normal(size=(count, 3))
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


@pytest.mark.parametrize("name", DEGENERATE)
@pytest.mark.parametrize("view", [cuboid_crop, cuboid_drop, occlude, elastic, fps, rotate])
def test_clouds_that_have_hardly_a_shape(view: object, name: str) -> None:
    cloud = numbered(DEGENERATE[name])
    for rng in rngs(20):
        made = view(cloud, rng)  # type: ignore[operator]
        assert made.dtype == np.float32
        assert set(made[:, 3]) <= set(cloud[:, 3])  # features go along with their points
        assert len(made) >= 1
        assert np.isfinite(made).all()


def test_a_crop_is_all_that_lies_in_a_cuboid(cloud: Points) -> None:
    extent = np.ptp(cloud, axis=0)
    sizes = []
    for rng in rngs(200):
        made = cuboid_crop(numbered(cloud), rng, high=0.9, least=0.1)
        low, high = made[:, :3].min(axis=0), made[:, :3].max(axis=0)
        within = ((cloud >= low) & (cloud <= high)).all(axis=1)
        assert (np.flatnonzero(within) == made[:, 3]).all()  # no point of the cuboid lacks, and the order stays
        assert len(made) >= 0.1 * len(cloud)
        assert (high - low <= 0.9 * extent + 1e-5).all()
        sizes.append(len(made))
    assert len(set(sizes)) > 20


def test_a_crop_has_its_least_share_or_is_the_whole(cloud: Points) -> None:
    for rng in rngs(30):
        made = cuboid_crop(cloud, rng, low=0.05, high=0.06, least=0.9)
        np.testing.assert_array_equal(made, cloud)
        assert 120 <= len(cuboid_crop(cloud, rng, low=0.5, least=0.6)) <= 200


def test_two_sides_of_a_crop_are_alike() -> None:
    """A lattice tells the sides: as many points along each as fit."""
    axis = np.arange(41)
    lattice = np.stack(np.meshgrid(axis, axis, axis), axis=-1).reshape(-1, 3).astype(np.float32)
    centre = lattice[(lattice == 20).all(axis=1)]

    class Middle:
        """Draws shares from a real rng, and the lattice's middle as the centre."""

        def __init__(self, seed: int) -> None:
            self.uniform = np.random.default_rng(seed).uniform

        def integers(self, high: int, size: int) -> NDArray[np.int_]:
            return np.full(size, np.flatnonzero((lattice == centre).all(axis=1))[0])

    def best(aspect: float) -> list[float]:
        found = []
        for seed in range(60):
            made = cuboid_crop(lattice, Middle(seed), low=0.2, high=1.0, aspect=aspect, least=0.0)  # type: ignore[arg-type]
            sides = np.sort(np.ptp(made, axis=0))
            found.append(float((sides[:-1] / sides[1:]).max()))
        return found

    assert min(best(0.95)) > 0.95 - 0.2  # to within two steps of the lattice
    assert min(best(0.0)) < 0.7


def test_a_drop_takes_a_cuboid_out(cloud: Points) -> None:
    extent = np.ptp(cloud, axis=0)
    for rng in rngs(100):
        made = cuboid_drop(numbered(cloud), rng, share=0.4)
        gone = np.setdiff1d(np.arange(len(cloud)), made[:, 3].astype(int))
        assert 1 <= len(gone) < len(cloud)
        low, high = cloud[gone].min(axis=0), cloud[gone].max(axis=0)
        assert (high - low <= 0.4 * extent + 1e-5).all()
        assert not ((made[:, :3] >= low) & (made[:, :3] <= high)).all(axis=1).any()


@pytest.mark.parametrize("distance", [2.0, 3.0, 10.0])
@pytest.mark.parametrize(("count", "lowest"), [(500, -0.3), (2048, 0.0), (8000, 0.0)])
def test_the_far_side_of_a_sphere_is_never_seen(count: int, lowest: float, distance: float) -> None:
    ball = sphere(count)
    moved = (ball * 5 + [100, 0, -3]).astype(np.float32)
    for seed in range(20):
        made = occlude(numbered(moved), np.random.default_rng(seed), distance=distance)
        np.testing.assert_array_equal(made[:, :3], moved[made[:, 3].astype(int)])
        height = ball @ direction(np.random.default_rng(seed))  # what the view draws first: where it is seen from
        seen = np.isin(np.arange(count), made[:, 3])
        assert height[seen].min() > lowest  # of few points, a little beyond the rim
        assert seen[height > 0.85].all()  # what faces the view point stays


def test_of_two_sheets_the_nearer_is_seen() -> None:
    """One above the other, seen from above or below but for some 15 degrees: the farther shows at its rim alone."""
    sheet = np.random.default_rng(0).uniform(-1, 1, (1500, 3)) * [1, 0, 1]
    both = np.concatenate([sheet, sheet + np.array([0, 1, 0])])
    seeds = [seed for seed in range(400) if abs(direction(np.random.default_rng(seed))[1]) > 0.965]
    assert len(seeds) > 5
    for seed in seeds:
        upper = occlude(numbered(both), np.random.default_rng(seed))[:, 3] >= 1500
        nearer = upper if direction(np.random.default_rng(seed))[1] > 0 else ~upper
        assert nearer.sum() > 1490
        assert (~nearer).sum() < 450


def test_elastic_moves_neighbours_alike(cloud: Points) -> None:
    ball = (sphere(2000) * 3 + [50, 0, 0]).astype(np.float32)
    away = np.linalg.norm(ball[:, None] - ball, axis=2)
    near, far = (away > 0) & (away < 0.1), away > 3
    moves = []
    for rng in rngs(20):
        move = (elastic(numbered(ball), rng)[:, :3] - ball) / 6
        apart = np.linalg.norm(move[:, None] - move, axis=2)
        assert apart[near].max() < 0.25 * np.median(apart[far])
        moves.append(move)
    assert 0.08 * 0.2 < np.std(moves) < 0.1136 * 0.2
    assert np.abs(np.mean(moves)) < 4e-3
    assert (elastic(ball, np.random.default_rng(0), magnitude=0) == ball).all()


def test_elastic_is_a_share_of_the_cloud(cloud: Points) -> None:
    one, thousand = (elastic(cloud * factor, np.random.default_rng(3)) for factor in (1, 1024))
    np.testing.assert_allclose(thousand, one * 1024, rtol=1e-4)


def test_fps_covers_the_cloud_better_than_chance() -> None:
    ball = sphere(1000).astype(np.float32)
    chosen = fps(ball, np.random.default_rng(0), points=64)

    def gap(some: Points) -> float:
        """How far the loneliest point is from those chosen."""
        return float(np.linalg.norm(ball[:, None] - some, axis=2).min(axis=1).max())

    assert gap(chosen) < 0.6 * gap(ball[:64])


def test_fps_is_the_greedy_choice(cloud: Points) -> None:
    chosen = fps(cloud, np.random.default_rng(5), points=40)
    for n in range(1, 40):
        away = np.linalg.norm(cloud[:, None] - chosen[:n], axis=2).min(axis=1)
        assert np.linalg.norm(chosen[:n] - chosen[n], axis=1).min() == pytest.approx(away.max(), rel=1e-5)


@pytest.mark.parametrize("points", [1, 50, 200, 500])
def test_fps_gives_the_count_asked_for(cloud: Points, points: int) -> None:
    made = fps(numbered(cloud), np.random.default_rng(0), points=points)
    assert len(made) == points
    assert len(set(made[:, 3])) == min(points, 200)
    heap = fps(numbered(np.zeros((30, 3))), np.random.default_rng(0), points=30)
    assert len(set(heap[:, 3])) == 30  # all of them, though all lie in one place


def test_a_turn_about_any_axis_keeps_distances(cloud: Points) -> None:
    axes = []
    for rng in rngs(400):
        made = rotate(cloud, rng, axis="any")
        np.testing.assert_allclose(
            np.linalg.norm(made[:20, None] - made[:20], axis=2),
            np.linalg.norm(cloud[:20, None] - cloud[:20], axis=2),
            atol=1e-4,
        )
        matrix = np.linalg.lstsq(cloud.astype(np.float64), made.astype(np.float64), rcond=None)[0].T
        assert np.linalg.det(matrix) == pytest.approx(1, abs=1e-4)
        values, vectors = np.linalg.eig(matrix)
        axes.append(np.real(vectors[:, np.abs(values - 1).argmin()]))
    spread = np.einsum("na,nb->ab", axes, axes) / len(axes)
    np.testing.assert_allclose(spread, np.eye(3) / 3, atol=0.06)  # no direction is preferred


@pytest.mark.parametrize("view", ["cuboid-crop", "cuboid-drop", "occlude"])
def test_points_asks_for_a_number_of_those_that_stay(view: str, cloud: Points) -> None:
    (made,) = build("view", {"use": f"pointcloud/{view}", "points": 64})(
        Sample(0, {"pointcloud": cloud}), np.random.default_rng(0)
    )
    assert made.data.shape == (64, 3)
    assert {tuple(p) for p in made.data} <= {tuple(p) for p in cloud}


def test_wrong_parameters_are_refused() -> None:
    for node in (
        {"use": "pointcloud/cuboid-crop", "low": 0},
        {"use": "pointcloud/cuboid-drop", "share": 1.0},
        {"use": "pointcloud/occlude", "distance": 1},
        {"use": "pointcloud/elastic", "grain": 1e-6},
        {"use": "pointcloud/fps", "points": 0},
        {"use": "pointcloud/partial", "overlap": 0},
    ):
        with pytest.raises(ConfigError):
            build("view", node)
