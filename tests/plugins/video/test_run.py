"""The README's config trains and evaluates, beside broken files, and alike with and without workers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ruamel.yaml import YAML
from tests.plugins.video.films import film

import contrapose as cp

README = Path(__file__).parents[3] / "plugins/video/README.md"
TRAIN = {"epochs": 1, "batch_size": 11, "threads": 1, "device": "cpu", "loggers": []}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Eight films, and three files that are none."""
    monkeypatch.chdir(tmp_path)
    lines = ["file,label"]
    for i in range(8):
        (tmp_path / f"{i}.mp4").write_bytes(film(20 + i))
        lines.append(f"{i}.mp4,{i % 2}")
    (tmp_path / "empty.mp4").write_bytes(b"")
    (tmp_path / "cut.mp4").write_bytes(film()[:60])
    (tmp_path / "sound.mp4").write_bytes(film(pictures=False))
    (tmp_path / "videos.csv").write_text("\n".join([*lines, "empty.mp4,0", "cut.mp4,1", "sound.mp4,0"]))
    return tmp_path


def config() -> dict[str, Any]:
    said: dict[str, Any] = YAML(typ="safe", pure=True).load(README.read_text().split("```yaml\n")[1].split("```")[0])
    return said | {"split": "none", "evaluate": {"views": {"video": {"use": "video/eval", "frames": 8, "size": 32}}}}


def run(out: str, workers: int) -> cp.Run:
    return cp.train(config() | {"train": {**TRAIN, "workers": workers}}, out=out, quiet=True)


def test_the_readmes_config_trains_and_lists_what_it_left_out(folder: Path) -> None:
    assert run("run", workers=0).embed("train")["video"].z.shape == (8, 128)
    left = (folder / "run/skipped.csv").read_text()
    for said in ("an empty file", "no pictures", "only audio"):
        assert said in left


def test_what_is_damaged_short_or_cut_is_left_out_counted_and_listed(folder: Path) -> None:
    """Corrupt frames, one frame where clips may not loop, no file at all; of a cut file what is there is used."""
    grain = film(np.random.default_rng(0).integers(0, 255, (30, 64, 64, 3), dtype=np.uint8), codec="libx264")
    hurt = bytearray(grain)
    hurt[len(grain) // 8 : -200] = bytes(len(hurt[len(grain) // 8 : -200]))
    (folder / "hurt.mp4").write_bytes(bytes(hurt))
    (folder / "half.mp4").write_bytes(grain[: 3 * len(grain) // 4])
    (folder / "one.mp4").write_bytes(film(1))
    with (folder / "videos.csv").open("a") as file:
        file.write("\nhurt.mp4,0\nhalf.mp4,1\none.mp4,0\nnowhere.mp4,1")
    said = config() | {"train": {**TRAIN, "batch_size": 15}}
    said["views"]["video"] |= {"short": "skip", "fps": 8}
    made = cp.train(said, out="run", quiet=True)
    assert (made.unread.samples, made.unread.seen) == (6, 15)
    left = (folder / "run/skipped.csv").read_text()
    for reason in ("empty.mp4", "cut.mp4", "sound.mp4", "hurt.mp4", "too short", "nowhere.mp4"):
        assert reason in left
    assert "half.mp4" not in left


@pytest.mark.slow
def test_workers_see_the_same_clips(folder: Path) -> None:
    one, two = (run(f"run{workers}", workers).embed("train")["video"] for workers in (0, 2))
    np.testing.assert_array_equal(one.z, two.z)
