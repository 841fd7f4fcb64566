"""Each method trains some steps on a handful of sounds, with the encoders of its paper made small, and embeds them."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.plugins.audio.sounds import file, noise, tone

import contrapose as cp

LOG_MEL: dict[str, Any] = {"use": [{"use": "audio/crop", "seconds": 0.3}, "audio/log-mel"]}
TWICE: dict[str, Any] = {"use": "audio/pair", "seconds": 0.3}
MEL = {"mel": "byol-a", "seconds": 0.3}
MIXED = [{"use": "audio/log-mel", "mel": "byol-a"}, {"use": "audio/mixup", **MEL}, {"use": "audio/normalise", **MEL}]
BYOL_A = {"use": "audio/byol-a", "width": 48, "hidden": 8, "maps": 2}
SMALL = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
WAV2VEC2 = SMALL | {"conv_dim": [8] * 7, "num_conv_pos_embeddings": 4, "num_conv_pos_embedding_groups": 2}
HTSAT = {
    "spec_size": 128,
    "window_size": 4,
    "depths": [1, 1],
    "num_attention_heads": [2, 2],
    "patch_embeds_hidden_size": 8,
}
WAVE = {"use": "audio/crop", "seconds": 0.3}
HEARD = {"views": {"audio": {"use": "audio/eval", "seconds": 0.3, "mel": None}}}
RUNS: dict[str, dict[str, Any]] = {
    "byol-a": {"views": {"audio": {**TWICE, "each": [*MIXED, "audio/resize-crop"]}}, "encoders": {"audio": BYOL_A}},
    "clar": {
        "views": {"audio": {**TWICE, "each": ["audio/fade", "audio/time-mask", "audio/log-mel"]}},
        "encoders": {"audio": {"use": "audio/small", "width": 2}},
    },
    "clap": {
        "modalities": {"audio": "file", "text": "caption"},
        "views": {"audio": LOG_MEL, "text": "identity"},
        "encoders": {"audio": {"use": "audio/htsat", "config": HTSAT}, "text": {"use": "text/bag", "width": 8}},
    },
    "cpc-audio": {
        "method": {"use": "audio/cpc-audio", "steps": 3, "negatives": 4, "width": 8, "hidden": 8},
        "views": {"audio": WAVE},
        "encoders": {"audio": {"use": "audio/cpc", "width": 8}},
        "evaluate": HEARD,
    },
    "wav2vec2": {
        "views": {"audio": WAVE},
        "encoders": {"audio": {"use": "audio/wav2vec2", "config": WAV2VEC2, "mask": 0.2, "span": 2}},
        "evaluate": HEARD,
    },
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Eight tones in noise, each with a caption."""
    monkeypatch.chdir(tmp_path)
    with open("sounds.csv", "w", newline="") as out:
        rows = csv.writer(out)
        rows.writerow(["file", "caption"])
        for i in range(8):
            Path(f"{i}.wav").write_bytes(file(tone(0.5, 200.0 * (i + 1)) + noise(0.5, i)))
            rows.writerow([f"{i}.wav", f"a tone of {200 * (i + 1)} hertz"])
    return tmp_path


def train(name: str, out: str, **more: Any) -> cp.Run:
    config = {"data": "sounds.csv", "split": "none", "modalities": {"audio": "file"}, "method": f"audio/{name}"}
    steps = {"epochs": 3, "batch_size": 4, "threads": 1, "device": "cpu", "loggers": [], "workers": 0}
    return cp.train({**config, **RUNS[name], "train": {**steps, **more}}, out=out, quiet=True)


@pytest.mark.parametrize("name", RUNS)
def test_a_method_trains_and_embeds(folder: Path, name: str) -> None:
    run = train(name, "run")
    with open("run/metrics.csv") as rows:
        losses = [float(row["loss"]) for row in csv.DictReader(rows)]
    assert np.isfinite(losses).all()
    assert len(losses) > 0
    z = run.embed("train")["audio"].z
    assert len(z) == 8
    assert np.isfinite(z).all()
    assert z.std(axis=0).max() > 0


@pytest.mark.slow
def test_wav2vec2_learns_to_tell_frames(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of melodies: its contrast falls well below its beginning, which is that of guessing among the candidates."""
    draw = np.random.default_rng(0)
    for i in range(8):
        notes = [tone(0.1, 200.0 * (1 + int(note))) for note in draw.integers(8, size=10)]
        Path(f"{i}.wav").write_bytes(file(np.concatenate(notes) + noise(1.0, i, loud=0.01)))
    monkeypatch.setitem(RUNS["wav2vec2"], "views", {"audio": {"use": "audio/crop", "seconds": 0.8}})
    train("wav2vec2", "run", epochs=40, batch_size=8, lr=3e-3)
    with open("run/metrics.csv") as rows:
        found = [float(row["loss/contrast"]) for row in csv.DictReader(rows)]
    assert np.mean(found[-4:]) < np.mean(found[:4]) - 0.05
