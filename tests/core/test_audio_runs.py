"""What docs/audio-runs.md says is what runs of the configs as they are found, and its measures count what they say."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "examples/data"), str(ROOT / "examples/audio_runs")]

import audio_features  # noqa: E402
import audio_measures  # noqa: E402
import audio_page  # noqa: E402
import audio_run  # noqa: E402
import build_audio  # noqa: E402

FOUND: dict[str, Any] = json.loads(audio_page.FIGURES.read_text("utf-8"))


def test_the_page_is_what_its_runs_found() -> None:
    assert audio_page.PAGE.read_text("utf-8") == audio_page.page(FOUND), "run examples/audio_runs/audio_page.py"
    said = audio_run.table()
    runs = [(q, name, run) for q, of in FOUND["runs"].items() for name, runs in of.items() for run in runs]
    assert runs
    for question, name, run in runs:
        assert run["config"] == audio_run.digest(question, name, run["seed"], said), (
            f"make audio-runs: {name} has changed"
        )


def test_a_reading_holds_where_it_holds_in_every_seed() -> None:
    def run(seed: int, value: float) -> dict[str, float]:
        return {"seed": seed, "r@1": value}

    rows = {
        "length": [run(0, 0.2)],
        "cola": [run(0, 0.3), run(1, 0.4)],
        "across": [run(1, 0.5), run(2, 0.1)],
        "none": [],
    }
    found = {"runs": {"prompts": rows}}
    assert audio_page.above(found, "prompts", "across", "cola", ["r@1"]) is True, "they have seed 1 in common"
    assert audio_page.above(found, "prompts", "cola", "length", ["r@1"]) is True
    assert audio_page.above(found, "prompts", "across", "length", ["r@1"]) is False
    assert audio_page.above(found, "prompts", "none", "cola", ["r@1"]) is None


def test_splits_of_notes_share_no_pitch_and_no_velocity() -> None:
    heard = [build_audio.NOTES[split] for split in ("train", "val", "test")]
    for kind in (0, 1):
        values = [v for split in heard for v in split[kind]]
        assert len(values) == len({*values})
    assert build_audio.NOTES["unheard"] == build_audio.NOTES["test"]


class Steady:
    """A soundfont of steady sound, louder by velocity; programs from 90 on are silent."""

    def choose(self, program: int) -> str:
        self.program = program
        return f"steady {program}"

    def play(self, pitch: int, velocity: int, held: float, release: float) -> np.ndarray:
        samples = round((held + release) * build_audio.RATE)
        return np.full(samples, velocity / 254 if self.program < 90 else 0, np.float32)


def test_notes_and_phrases_are_of_the_instruments_and_pitches_that_their_split_has(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(build_audio, "PHRASES", 1)
    notes, phrases = [*build_audio.notes(Steady())], [*build_audio.phrases(Steady())]  # type: ignore[arg-type]
    assert {r["program"] for r in notes} == {*range(90)}, "silent ones are left out"
    for row in notes:
        assert (row["program"] % 8 in build_audio.UNHEARD) == (row["split"] == "unheard")
        assert row["pitch"] in build_audio.NOTES[row["split"]][0]
        assert row["velocity"] in build_audio.NOTES[row["split"]][1]
    assert not {r["program"] % 8 for r in phrases} & {*build_audio.UNHEARD}
    wave, rate = soundfile.read(io.BytesIO(phrases[0]["audio"]))
    assert (rate, wave.shape) == (build_audio.RATE, (4 * build_audio.RATE,))


def test_retrieval_counts_what_is_before_the_right_prompt() -> None:
    languages = np.repeat(["en", "fr"], 12)
    prompts = np.tile(np.arange(12), 2)
    seconds = np.tile(np.arange(12) + 1.0, 2)
    found = audio_measures.across(np.tile(np.eye(12), (2, 1)), languages, prompts, seconds)
    assert found == {"r@1": 1.0, "r@5": 1.0, "r@10": 1.0, "matched": 1.0}
    swapped = np.concatenate([np.eye(12), np.eye(12)[[11, *range(1, 11), 0]]])  # two far apart in length
    found = audio_measures.across(swapped, languages, prompts, seconds)
    assert found["r@1"] == pytest.approx(10 / 12)
    assert found["matched"] == pytest.approx(10 / 12), "nothing else is like them, so all nine others tie"
    assert audio_measures.across(np.ones((24, 3)), languages, prompts, seconds)["r@10"] == 0.0, "a tie is lost"


def test_the_length_alone_finds_the_nearest_length() -> None:
    seconds = np.array([1.0, 2.0, 4.0, 1.1, 2.2, 4.4])
    scores = (features := audio_measures.by_length(seconds)) @ features.T
    assert scores[:3, 3:].argmax(axis=1).tolist() == [0, 1, 2]


def test_a_language_has_no_mean_of_its_own() -> None:
    rng = np.random.default_rng(0)
    languages = np.repeat(["en", "fr"], 10)
    content = rng.normal(size=(10, 4))
    voiced = np.concatenate([content, content + 100])
    made = audio_measures.centred(voiced, languages, np.ones(20, bool))
    np.testing.assert_allclose(made[:10], made[10:], atol=1e-9)


def test_each_sample_is_told_by_all_others() -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat(["a", "b", "c"], 8)
    apart = np.repeat(np.eye(3), 8, axis=0) + 0.01 * rng.normal(size=(24, 3))
    assert audio_measures.left_out(apart, labels) == 1.0
    assert audio_measures.left_out(np.eye(3), np.array(["a", "b", "c"])) == 0.0, "none sees itself"


def test_features_by_hand_are_of_sounds_of_any_length(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng = np.random.default_rng(0)
    waves = [rng.normal(0, 0.1, n).astype(np.float32) for n in (100, 16000, 40000)]
    cells = [{"audio": build_audio.as_wav(wave), "family": n} for n, wave in enumerate(waves)]
    pq.write_table(pa.Table.from_pylist(cells), tmp_path / "sounds.parquet")
    found = audio_features.sounds(str(tmp_path / "sounds.parquet"), 16000)
    mels = audio_features.log_mels(found.where(found.columns["family"] != 1), 16000)
    assert [m.shape for m in mels] == [(64, 1), (64, 124)]
    assert audio_features.means(mels).shape == (2, 64)
    assert audio_features.statistics(mels).shape == (2, 60)
    assert np.isfinite(audio_features.statistics(mels)).all()


def test_a_row_is_trained_and_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    cells = [
        {
            "audio": build_audio.as_wav(rng.normal(0, 0.1, 9000).astype(np.float32)),
            "family": n % 2,
            "pitch": n % 5,
            "split": "train" if n < 20 else "val",
        }
        for n in range(26)
    ]
    pq.write_table(pa.Table.from_pylist(cells), tmp_path / "notes.parquet")
    said = audio_run.table()
    said["notes"]["base"]["data"] = str(tmp_path / "notes.parquet")
    small = ["train.epochs=1", "train.batch_size=10"]
    audio_features.sounds.cache_clear()
    for name in ("cola-notes", "supervised"):
        found = audio_run.one("notes", name, 0, said, validate=True, overrides=small)
        assert {*found} == {"val knn", "val linear", "seconds"}
        assert all(0 <= found[key] <= 1 for key in ("val knn", "val linear"))
