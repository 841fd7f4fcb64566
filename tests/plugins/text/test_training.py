"""Texts through the whole run: from a config to a run folder and back."""

from __future__ import annotations

import csv
import json
import shutil
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.plugins.text.conftest import FURNITURE

import contrapose as cp
from contrapose import build
from contrapose.cli import main
from contrapose.errors import ContraposeError

CONFIG: dict[str, Any] = {
    "data": str(FURNITURE),
    "split": {"column": "split"},
    "meta": {"label": "room"},
    "modalities": {"text": {"columns": "name", "max_length": 16}},
    "views": {"text": "text/dropout"},
    "encoders": {"text": {"use": "text/transformer", "layers": 1, "width": 64}},
    "method": {"use": "simclr", "terms": {"nt_xent": {"tau": 0.05}}},
    "train": {"epochs": 4, "batch_size": 64, "lr": 1e-3, "threads": 1, "device": "cpu"},
}


def losses(run: cp.Run) -> list[float]:
    with open(run.dir / "metrics.csv") as file:
        return [float(row["loss"]) for row in csv.DictReader(file)]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> cp.Run:
    return cp.train(CONFIG, out=tmp_path_factory.mktemp("runs") / "simcse", quiet=True)


def test_simcse_learns_to_tell_names_apart(run: cp.Run) -> None:
    loss = losses(run)
    assert np.mean(loss[-5:]) < 0.7 * np.mean(loss[:3])


def test_a_run_holds_its_tokenizer(run: cp.Run, tmp_path: Path) -> None:
    fitted = json.loads((run.dir / "fitted.json").read_text())["modalities"]["text"]
    assert "Ġchair" in json.loads(fitted["tokenizer"])["model"]["vocab"]
    shutil.copytree(run.dir, moved := tmp_path / "moved")
    there, here = cp.load(moved).embed("test")["text"], run.embed("test")["text"]
    np.testing.assert_array_equal(there.z, here.z)
    small = run.embed("test", batch_size=3)["text"]
    np.testing.assert_allclose(small.z, here.z, atol=1e-5)


def test_like_names_are_near(run: cp.Run) -> None:
    found = run.embed("train", head="pooled")["text"]
    reader = run.reader("train")
    words = [reader[i].data["text"].lower() for i in range(len(reader))]
    z = found.z / np.linalg.norm(found.z, axis=1, keepdims=True)
    chairs = np.array([word.endswith("chair") for word in words])
    near = z @ z.T
    assert near[np.ix_(chairs, chairs)].mean() > near[np.ix_(chairs, ~chairs)].mean() + 0.1


def test_a_pair_graph_of_text_with_changed_words_trains_in_workers(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    views = {"use": [{"use": "text/delete", "rate": 0.2}, "text/swap", "text/crop"], "count": 2}
    config = {**CONFIG, "views": {"text": views}, "method": {"use": "pair-graph", "pairs": [["text", "text"]]}}
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        run = cp.train(config, out=tmp_path / "run", set=["train.workers=1", "train.epochs=2"], quiet=True)
    assert losses(run)[-1] < losses(run)[0]
    assert not capfd.readouterr().err, "tokenizers in a forked worker have nothing to complain of"


def test_pretrained_by_local_path(bert: Path, tmp_path: Path) -> None:
    config = {
        **CONFIG,
        "modalities": {"text": {"columns": ["name", "noun"], "tokenizer": str(bert), "max_length": 32}},
        "encoders": {"text": {"use": "text/pretrained", "path": str(bert), "pooling": "cls"}},
    }
    run = cp.train(config, out=tmp_path / "run", set=["train.epochs=1"], quiet=True)
    assert losses(run)[-1] < losses(run)[0]
    assert cp.load(run.dir).embed("test")["text"].z.shape == (205, 128)
    with pytest.raises(ContraposeError, match=r"encoders\.text\.path: a pretrained encoder knows the words of its own"):
        cp.train({**config, "modalities": {"text": "name"}}, out=tmp_path / "wrong", quiet=True)


def test_a_frozen_pretrained_encoder_is_asked_once(bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONTRAPOSE_CACHE", str(tmp_path / "cache"))
    config = {
        **CONFIG,
        "modalities": {"text": {"columns": "name", "tokenizer": str(bert), "max_length": 16}},
        "views": {"text": "text/eval"},
        "encoders": {"text": {"use": "text/pretrained", "path": str(bert)}},
        "train": {**CONFIG["train"], "epochs": 1, "frozen": {"text": "encoder"}},
    }
    plain = cp.train(config, out=tmp_path / "plain", quiet=True)
    kept = cp.train(config, out=tmp_path / "kept", set=["train.cache=true"], quiet=True)
    np.testing.assert_allclose(losses(kept), losses(plain), rtol=1e-4)
    assert list((tmp_path / "cache").glob("taps/*"))
    whole = build("encoder", config["encoders"]["text"]).state_dict()
    found = cp.load(kept.dir).encoder("text").state_dict()
    assert all(torch.equal(found[name], t) for name, t in whole.items())


def test_texts_that_cant_be_read_are_skipped_and_said(tmp_path: Path) -> None:
    rows = [{"name": f"{colour} {thing}"} for colour in ("red", "blue", "oak") for thing in ("chair", "bed", "sofa")]
    rows += [{"name": "  "}, {"name": None}]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    config = {**CONFIG, "data": str(tmp_path / "rows.jsonl"), "split": None, "meta": {}}
    run = cp.train(config, out=tmp_path / "run", set=["train.batch_size=5", "train.epochs=1"], quiet=True)
    assert "empty text in name" in (run.dir / "skipped.csv").read_text()
    assert len(run.embed("train")["text"]) == 9


def test_a_folder_of_text_files_trains(tmp_path: Path, names: list[str]) -> None:
    for i, name in enumerate(names[:40]):
        (tmp_path / f"{i}.txt").write_text(name)
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9")
    config = {**CONFIG, "data": str(tmp_path), "split": None, "meta": {}, "modalities": {"text": {"max_length": 12}}}
    run = cp.train(config, out=tmp_path / "run", set=["train.batch_size=20", "train.epochs=1"], quiet=True)
    assert "latin.txt: not UTF-8 at byte 3" in (run.dir / "skipped.csv").read_text()
    assert len(run.embed(tmp_path)["text"]) == 40


def test_a_column_of_numbers_is_told_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(json.dumps({**CONFIG, "modalities": {"text": "width"}}))
    assert main(["train", str(path), "--out", str(tmp_path / "run")]) != 0
    err = capsys.readouterr().err
    assert "no text to train a tokenizer on: width: " in err
    assert "is no text but a float" in err
    assert "Traceback" not in err
    assert err.count("\n") == 1


CONSERT = {"text.a": {"use": "text/cutoff", "tokens": 0.1}, "text.b": ["text/delete", "text/shuffle"]}
METHODS: dict[str, Any] = {
    "text/simcse": {"text": "text/dropout"},
    "text/consert": CONSERT,
    "text/declutr": {"text": {"use": "text/spans", "shortest": 1, "longest": 4}},
}


@pytest.mark.parametrize("method", METHODS)
def test_the_presets_train_on_texts(method: str, tmp_path: Path) -> None:
    encoder = {"use": "text/transformer", "layers": 1, "width": 16, "heads": 2}
    config = {**CONFIG, "views": METHODS[method], "encoders": {"text": encoder}, "method": method}
    run = cp.train(config, out=tmp_path / "run", set=["train.steps=6", "train.lr=0.01"], quiet=True)
    found = losses(run)
    assert len(found) == 6
    assert np.mean(found[-2:]) < found[0]
