"""The README's configs train as they stand, beside data and a model of one's own."""

from __future__ import annotations

import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from ruamel.yaml import YAML

import contrapose as cp

README = Path(__file__).parents[3] / "plugins/text/README.md"


def test_the_readmes_config_trains(bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(bert, "mpnet")
    things = {"title": ["oak chair", "corner sofa"] * 4, "body": ["for the garden", None] * 4}
    pq.write_table(pa.table(things), "things.parquet")
    said = YAML(typ="safe", pure=True).load(README.read_text().split("```yaml\n")[1].split("```")[0])
    said["modalities"]["text"]["max_length"] = 32  # the toy model knows no more positions
    train = {"epochs": 1, "batch_size": 4, "threads": 1, "device": "cpu"}
    config = {"data": "things.parquet", "views": {"text": "text/dropout"}, "method": "simclr", "train": train}
    run = cp.train(config | said, out="run", quiet=True)
    assert run.embed("train")["text"].z.shape[0] == 8


def test_the_readmes_pairs_train(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    woods, things = ("oak", "elm", "ash", "yew"), ("chair", "sofa", "bed", "lamp")
    rows = [{"question": f"what is the {t} of {w} for", "answer": f"a {t}", "wrong": w} for w in woods for t in things]
    rows[0]["wrong"] = None
    pq.write_table(pa.Table.from_pylist(rows), "questions.parquet")
    said = YAML(typ="safe", pure=True).load(README.read_text().split("```yaml\n")[2].split("```")[0])
    said["train"] |= {"batch_size": 4, "epochs": 1, "threads": 1, "device": "cpu"}
    said["encoders"]["text"] |= {"layers": 1, "width": 16}
    run = cp.train(said, out="run", quiet=True)
    assert run.embed("train")["text"].z.shape == (16, 16)
    assert len((run.dir / "metrics.csv").read_text().splitlines()) == 1 + 4
