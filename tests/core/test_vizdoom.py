"""The ViZDoom example: geometry of its starts, its features and views, a run on made-up clips, and the page that its runs wrote."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

pytest.importorskip("contrapose_video")
ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "examples/data"), str(ROOT / "examples/vizdoom")]

import build_vizdoom as build  # noqa: E402
import motion_forests as forests  # noqa: E402
import motion_views as views  # noqa: E402
import motions  # noqa: E402
import motions_page as page  # noqa: E402

from contrapose.plugins import configure  # noqa: E402

SQUARE = np.array([[0, 0, 100, 0], [100, 0, 100, 100], [100, 100, 0, 100], [0, 100, 0, 0]], dtype=float)
WAYS = {"left": (0, -1), "right": (0, 1), "forward": (-1, 0), "backward": (1, 0)}


def world(seed: int = 0, size: int = 160) -> np.ndarray:
    """A smooth picture (size, size, 3) to look at."""
    rough = torch.rand(1, 3, size // 8, size // 8, generator=torch.Generator().manual_seed(seed))
    smooth = torch.nn.functional.interpolate(rough, (size, size), mode="bicubic").clamp(0, 1)
    return (255 * smooth[0].permute(1, 2, 0)).byte().numpy()


def sliding(down: int, right: int, seed: int = 0) -> np.ndarray:
    """24 frames (60, 80, 3) through a window that slides."""
    picture = world(seed)
    places = [(50 + down * t, 40 + right * t) for t in range(24)]
    return np.stack([picture[y : y + 60, x : x + 80] for y, x in places])


def test_a_place_is_inside_a_sector_where_a_ray_leaves_it_once() -> None:
    hole = SQUARE * 0.2 + 40  # lines of both sectors
    lines, sector = np.concatenate([SQUARE, hole, hole]), np.repeat([0, 0, 1], 4)
    assert build.is_inside(lines, sector, 10, 50)
    assert build.is_inside(lines, sector, 50, 50)
    assert not build.is_inside(lines[:8], sector[:8], 50, 50)
    assert not build.is_inside(lines, sector, 150, 50)


def test_a_wall_in_the_way_of_a_motion_is_seen() -> None:
    reach = dict.fromkeys(WAYS, 20.0)
    assert build.is_clear(SQUARE, 50, 50, 0, reach)
    for angle, motion in ((0, "right"), (180, "left"), (90, "backward"), (270, "forward")):  # a wall at y = 0
        assert not build.is_clear(SQUARE, 50, 30, angle, {motion: 20.0}), motion
        others = {m: 20.0 for m in WAYS if m != motion}
        assert build.is_clear(SQUARE, 50, 30, angle, others), motion
    post = np.array([[70, 60, 70, 70]], dtype=float)
    assert not build.is_clear(post, 50, 50, 0, {"forward": 20.0}), "a player is 32 units wide"
    assert build.is_clear(post, 50, 40, 0, {"forward": 20.0})


def test_a_cloud_is_where_the_depth_says() -> None:
    depths = np.full((24, 120, 160), 80, dtype=np.uint8)
    depths[:, :, :80] = 0  # sky
    cloud = build.cloud(depths, np.random.default_rng(0)).astype(float)
    assert cloud.shape == (2048, 4)
    np.testing.assert_allclose(np.unique(cloud[:, 3]), np.array(build.SEEN) / 23, atol=1e-3)
    assert cloud[:, 0].min() > 0
    assert cloud[:, 0].max() == pytest.approx(80, rel=0.02)
    assert np.abs(cloud[:, 1]).max() == pytest.approx(60, rel=0.02)
    assert np.abs(cloud[:, 2] - 80).max() <= 0.51


def test_what_was_encoded_is_decoded() -> None:
    clip = sliding(0, 1)
    read = views.decoded(build.encode(clip))
    assert (len(read), read.fps) == (24, pytest.approx(17.5))
    seen = read.frames(np.arange(24)).mean(axis=3)
    assert np.abs(seen - clip.mean(axis=3)).mean() < 4  # colours are kept at half the resolution


def test_no_map_is_on_both_sides() -> None:
    maps = [f"{wad}/{name}" for wad, names in build.MAPS.items() for name in names]
    assert len(build.deal(maps, 4, np.random.default_rng(0))) == 17


def test_flow_tells_what_a_frame_does_not() -> None:
    for down, right in ((0, 1), (0, -1), (1, 0), (-1, 0)):
        moved = np.median(forests.flow(sliding(down, right)).reshape(2, 12), axis=1)
        assert moved == pytest.approx(
            [-right / 2, -down / 2], abs=0.15
        )  # blocks of two pixels; the picture goes the other way
    there, back = sliding(0, 1), sliding(0, 1)[::-1]
    assert not np.allclose(forests.flow(there), forests.flow(back))
    assert forests.single_frame(there).shape == (364,)
    assert forests.differences(there).shape == (600,)
    assert not forests.flow(np.full((24, 60, 80, 3), 9, dtype=np.uint8)).any()


def test_a_tint_is_that_of_all_frames() -> None:
    frame = torch.rand(3, 1, 8, 8)
    made = views.tint(frame.expand(3, 5, 8, 8), np.random.default_rng(1))
    assert (made == made[:, :1]).all()
    assert not torch.allclose(made[:, :1], frame)


def test_what_stands_still_is_grey() -> None:
    encoder = views.Changes({"use": "video/small", "width": 2}).eval()
    still, moving = torch.rand(1, 3, 1, 16, 16).expand(-1, -1, 6, -1, -1), torch.rand(1, 3, 6, 16, 16)
    with torch.no_grad():
        a, b, c = (encoder(x)["pooled"] for x in (still, torch.zeros_like(still), moving))
    torch.testing.assert_close(a, b)
    assert not torch.allclose(a, c)


def test_stills_are_frames() -> None:
    clip = sliding(0, 1)
    assert any((views.still(clip, np.random.default_rng(3)) == frame).all() for frame in clip)
    made = views.stills(clip, np.random.default_rng(0), size=60)
    assert [v.name for v in made] == list(views.stills.view_names)
    assert (255 * made[7].data).round().byte().permute(1, 2, 0).numpy().tolist() == clip[23, :, 10:70].tolist()


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The table on clips of a made-up camera, for one epoch, and its views registered."""
    rows = []
    for start in range(6):
        for motion, (down, right) in WAYS.items():
            clip, cloud = (
                sliding(down, right, start),
                np.random.default_rng(start).normal(size=(300, 4)).astype(np.float16),
            )
            side = "test" if start < 2 else "train"
            made = {"video": build.encode(clip), "cloud": build.packed(cloud), "motion": motion, "start": start}
            rows.append({**made, "id": f"{start}-{motion}", "map": str(start), "split": side, "inner": side})
    pq.write_table(pa.Table.from_pylist(rows, build.SCHEMA), tmp_path / "clips.parquet")
    said = motions.table()
    said["base"] |= {"data": str(tmp_path / "clips.parquet")}
    said["base"]["train"] |= {"epochs": 1, "batch_size": 8}
    monkeypatch.setattr(motions, "table", lambda: said)
    monkeypatch.setattr(motions, "RESULTS", tmp_path / "runs")
    return said


@pytest.mark.parametrize("name", ["forests", "clouds", pytest.param("frames", marks=pytest.mark.slow)])
def test_a_row_is_run_once(table: dict[str, Any], name: str, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        for _ in range(2):
            motions.work([name], [0], "split")
    finally:
        configure()
    (run,) = motions.resumed.known(motions.file_of(name, "split"))
    assert capsys.readouterr().out.count(f"{name} (seed 0)") == 1
    wanted = {
        "forests": set(forests.FORESTS),
        "clouds": {"knn", "linear", "video to cloud of a start"},
        "frames": {"knn"},
    }
    assert wanted[name] <= set(run)
    assert all(np.isfinite(value) for key, value in run.items() if key != "config")


@pytest.mark.slow
def test_a_map_is_rendered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("vizdoom", minversion="1.0")  # examples/vizdoom has no version
    monkeypatch.chdir(tmp_path)
    (clips,) = build.from_map("freedoom2/MAP01", 1)
    assert sorted(clip["motion"] for clip in clips) == sorted(build.MOTIONS)
    frames = {clip["motion"]: views.decoded(clip["video"]).frames(np.arange(24)).astype(int) for clip in clips}
    assert np.abs(np.diff(frames["stand"], axis=0)).mean() < 2 < np.abs(np.diff(frames["turn-left"], axis=0)).mean()


def test_the_page_is_what_the_runs_found() -> None:
    found = json.loads(page.FIGURES.read_text("utf-8"))
    assert page.PAGE.read_text("utf-8") == page.page(found), "run: python examples/vizdoom/motions_page.py"


def test_the_runs_are_of_the_table_as_it_is() -> None:
    said = motions.table()
    for name, runs in json.loads(page.FIGURES.read_text("utf-8"))["rows"].items():
        for run in runs:
            assert run["config"] == motions.digest(name, said, run["seed"]), f"{name} has changed since its runs"


def test_what_the_page_says_in_short_holds() -> None:
    found = json.loads(page.FIGURES.read_text("utf-8"))

    def seen(row: str, key: str) -> list[float]:
        return list(page.values(found, row, key).values())

    for key in ("knn", "linear"):
        untrained = seen("untrained", key)
        assert max(seen("frames", key)) < 20 < min(untrained)
        assert min(seen("cvrl-starts", key)) > max(untrained)
        for row in ("cvrl-longer", "cvrl-starts-longer"):
            assert np.mean(seen(row, key)) > np.mean(untrained) + 10
            assert min(seen(row, key)) > max(untrained)
            assert min(seen("supervised", key)) > max(seen(row, key))
        assert max(seen("cvrl-pixels", key)) < min(untrained)
        assert max(seen("supervised", key)) < min(seen("forests", "optical flow"))
    assert min(seen("cvrl", "knn")) > max(seen("untrained", "knn"))
    assert all(min(seen("clouds", f"{way} of a start")) > page.CHANCE for way in page.WAYS)
