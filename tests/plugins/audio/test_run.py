"""Whole runs: the README's config, lists of views that workers and device share, what is fitted and kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ruamel.yaml import YAML
from tests.plugins.audio.sounds import file, noise, tone
from tests.plugins.video.films import film

import contrapose as cp
from contrapose.engine.build import Parts
from contrapose.report.embeddings import write_embeddings
from contrapose.report.pictures import picture_views

README = Path(__file__).parents[3] / "plugins/audio/README.md"
TRAIN = {"epochs": 1, "batch_size": 6, "threads": 1, "device": "cpu", "loggers": [], "workers": 0}
LOOK = {"seconds": 0.3, "mel": {"like": "byol-a", "mels": 16}}
BYOL_A = [
    {"use": "audio/crop", "seconds": 0.3},
    {"use": "audio/log-mel", "mel": LOOK["mel"]},
    {"use": "audio/mixup", **LOOK},
    {"use": "audio/normalise", **LOOK},
    "audio/resize-crop",
    "audio/fader",
]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Twelve sounds, and four that are none, or become none when they are decoded."""
    monkeypatch.chdir(tmp_path)
    lines = ["file,label"]
    for i in range(12):
        rate = (16000, 8000, 44100)[i % 3]
        wave = tone(0.5 + 0.1 * i, 300 + 100 * (i % 2), rate) + noise(0.5 + 0.1 * i, i, rate)
        (tmp_path / f"{i}.wav").write_bytes(file(wave, rate))
        lines.append(f"{i}.wav,{i % 2}")
    (tmp_path / "empty.wav").write_bytes(b"")
    (tmp_path / "cut.flac").write_bytes(file(noise(3.0), kind="FLAC")[:200])
    (tmp_path / "nan.wav").write_bytes(file(np.full(16000, np.nan, np.float32), subtype="FLOAT"))
    lines += ["empty.wav,0", "cut.flac,1", "nan.wav,0", "none.wav,1"]
    (tmp_path / "sounds.csv").write_text("\n".join(lines))
    return tmp_path


def config(**changed: Any) -> dict[str, Any]:
    said: dict[str, Any] = YAML(typ="safe", pure=True).load(README.read_text().split("```yaml\n")[1].split("```")[0])
    return said | {"split": "none", "train": TRAIN} | changed


def test_the_readmes_config_trains_and_lists_what_it_left_out(folder: Path) -> None:
    run = cp.train(config(train={**TRAIN, "batch_size": 16}), out="run", quiet=True)
    assert run.embed("train", head="pooled")["audio"].z.shape == (12, 64)
    left = (folder / "run/skipped.csv").read_text()
    for said in ("empty.wav: an empty file", "cut.flac", "nan.wav: holds samples", "none.wav: no such file"):
        assert said in left
    written = write_embeddings(run, folder / "sounds.csv", folder / "z.parquet", "pooled", 8)
    assert any("nan.wav: holds samples" in line for line in written.skipped)
    failed = picture_views(run.parts, folder / "views.png", n=16, seed=0)  # a broken one costs its own cells
    assert any("nan.wav: holds samples" in line for line in failed)


def batches(views: Any, workers: int = 0) -> list[torch.Tensor]:
    loader = Parts(cp.Config.of(config(views=views, train={**TRAIN, "workers": workers}))).train_loader()
    loader.set_epoch(0)
    made = [v.data for batch in loader for v in batch.views.values()]
    loader.close()
    return made


def test_workers_make_the_same_views(folder: Path) -> None:
    for views in ({"audio": {"use": BYOL_A}}, {"audio": {"use": BYOL_A[:2], "batched": True}}):
        for one, two in zip(batches(views), batches(views, workers=2), strict=True):
            assert torch.equal(one, two)


def test_log_mels_are_the_same_in_workers_and_on_the_device(folder: Path) -> None:
    steps = ["audio/crop", {"use": "audio/gain"}, "audio/crop", "audio/log-mel"]
    for one, two in zip(
        batches({"audio": {"use": steps, "batched": True}}), batches({"audio": {"use": steps}}), strict=True
    ):
        assert one.shape[1:] == (1, 64, 98)
        torch.testing.assert_close(one, two, atol=1e-4, rtol=1e-4)


def test_what_byol_a_is_fitted_on_is_kept_with_the_run(folder: Path) -> None:
    evaluate = {"audio": {"use": "audio/eval", **LOOK, "then": {"use": "audio/normalise", **LOOK}}}
    said = config(
        views={"audio": {"use": BYOL_A, "batched": True}},
        encoders={"audio": {"use": "audio/small", "width": 4, "mels": 16}},
        method={"use": "byol"},
        evaluate={"views": evaluate},
    )
    run = cp.train(said, out="run", quiet=True)
    found = run.embed("train")["audio"].z
    again = cp.load("run")
    mixup, normalise = again.parts.plan.generators["audio"].generators[2:4]
    assert mixup.sounds.shape[1:] == (1, 16, 31)
    assert len(mixup.sounds) == 12
    assert normalise.std > 0
    np.testing.assert_array_equal(again.embed("train")["audio"].z, found)
    for data in batches({"audio": {"use": BYOL_A}}):
        assert float(data.mean()) == pytest.approx(0, abs=1.0)


def test_stereo_goes_all_the_way(folder: Path) -> None:
    two = {"use": "audio/small", "width": 4}
    run = cp.train(
        config(modalities={"audio": {"columns": "file", "channels": 2}}, encoders={"audio": two}), out="run", quiet=True
    )
    assert run.method.encoders["audio"].channels == 2


def test_a_video_and_its_sound_come_from_one_file(folder: Path) -> None:
    for i in range(3):
        (folder / f"{i}.mp4").write_bytes(film(8 + i, sound=i < 2))
    (folder / "films.csv").write_text("file\n0.mp4\n1.mp4\n2.mp4")
    said = {
        "data": "films.csv",
        "split": "none",
        "modalities": {"video": "file", "audio": "file"},
        "views": {
            "video": {"use": "video/clip", "frames": 2},
            "audio": {"use": [{"use": "audio/crop", "seconds": 0.2}, "audio/log-mel"]},
        },
        "encoders": {"video": {"use": "video/small", "width": 2}, "audio": {"use": "audio/small", "width": 2}},
        "method": {"use": "clip", "pair": ["video", "audio"]},
        "train": {**TRAIN, "batch_size": 3},
    }
    (batch,) = Parts(cp.Config.of(said)).train_loader()
    assert {name: len(view) for name, view in batch.views.items()} == {"video/0": 3, "audio/0": 2}, "one has no sound"
    assert batch.views["audio/0"].meta["duration"].tolist() == pytest.approx([0.64, 0.64], abs=0.07)


def test_an_encoder_says_what_it_needs(folder: Path) -> None:
    for views, said in (
        ({"audio": "audio/crop"}, "end the views of audio with audio/log-mel"),
        ({"audio": {"use": ["audio/crop", {"use": "audio/log-mel", "mel": {"mels": 32}}]}}, "give it mels: 32"),
    ):
        with pytest.raises(cp.ConfigError, match=said):
            cp.train(config(views=views), out=f"run {said}", quiet=True)
