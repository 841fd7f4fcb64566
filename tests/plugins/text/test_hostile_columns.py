"""Columns of text as the world has them: each trains, or ends in one line that says where it is wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

import contrapose as cp
from contrapose.cli import main
from contrapose.engine.build import Parts

CONFIG: dict[str, Any] = {
    "modalities": {"text": {"columns": "name", "vocabulary": 300, "max_length": 12}},
    "views": {"text": "text/dropout"},
    "encoders": {"text": {"use": "text/transformer", "layers": 1, "width": 8, "heads": 1}},
    "method": "text/simcse",
    "train": {"steps": 1, "batch_size": 4, "threads": 1, "device": "cpu", "loggers": []},
}
REFUSED: dict[str, tuple[list[Any] | str | bytes, str]] = {
    "nothing but blanks": ([None] * 8, "no text to train a tokenizer on: every cell is blank"),
    "nothing but spaces": (["", "  ", "\u3000"] * 4, "no text to train a tokenizer on: empty text in name"),
    "numbers among text": (["oak chair", 3] * 4, "mixes types in a column"),
    "lists": ([["oak", "chair"]] * 4, "no text to train a tokenizer on: name: "),
    "a ragged CSV": ("name,wood\nchair,oak\nbed\n", "Row #3: Expected 2 columns, got 1"),
    "a quote that isn't closed": ('name\n"chair\nbed\n', "the quote that opens in row 2 is never closed"),
    "a CSV in Latin-1": (
        "name\nch\u00e2ise\n".encode("latin-1"),
        "Row #2: CSV conversion error to string: invalid UTF8",
    ),
}
TAKEN: dict[str, list[Any] | str] = {
    "one value": ["oak chair"] * 8,
    "one letter": ["x"] * 8,
    "empty strings among text": ["oak chair", "", "bed", " ", "a sofa", None] * 4,
    "a megabyte": ["oak chair", "word " * 210_000, "x" * 1_050_000, "bed"] * 2,
    "a null character in a CSV": "name\noak\0 chair\n" + "ash bed\nelm sofa\n" * 4,
}


def written(folder: Path, data: list[Any] | str | bytes) -> str:
    if isinstance(data, list):
        (folder / "t.jsonl").write_text("".join(json.dumps({"name": cell}) + "\n" for cell in data))
        return str(folder / "t.jsonl")
    (folder / "t.csv").write_bytes(data if isinstance(data, bytes) else data.encode())
    return str(folder / "t.csv")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONTRAPOSE_CACHE", str(tmp_path / "cache"))


@pytest.mark.parametrize("what", REFUSED)
def test_one_line_says_where_it_is_wrong(what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, said = REFUSED[what]
    (tmp_path / "c.yaml").write_text(json.dumps({**CONFIG, "data": written(tmp_path, data)}))
    assert main(["train", str(tmp_path / "c.yaml"), "--out", str(tmp_path / "run")]) == 1
    err = capsys.readouterr().err
    assert said in err
    assert len(err.splitlines()) == 1, err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("what", TAKEN)
def test_what_only_looks_odd_is_read(what: str, tmp_path: Path) -> None:
    parts = Parts(cp.Config.of({**CONFIG, "data": written(tmp_path, TAKEN[what])}))
    method = parts.make_method()
    batch = next(iter(parts.train_loader()))
    assert len(batch) >= 2, "blanks have no text, and are no rows"
    assert torch.isfinite(method.loss(batch).loss)
    lengths = parts.modalities["text"].lengths(  # type: ignore[attr-defined]
        [s.data["text"] for s in (parts.splits["train"].read(i)[0] for i in range(4)) if s.data]  # type: ignore[attr-defined]
    )
    assert max(lengths) <= 12


def test_bytes_that_are_no_utf8_are_missing_and_listed(tmp_path: Path) -> None:
    raw = pa.array([b"oak chair", b"\xff\xfe", *[b"ash bed"] * 14])
    pq.write_table(pa.table({"name": pa.Array.from_buffers(pa.string(), 16, raw.buffers())}), tmp_path / "t.parquet")
    run = cp.train(
        {**CONFIG, "data": str(tmp_path / "t.parquet")}, out=tmp_path / "run", set=["train.steps=4"], quiet=True
    )
    assert "not UTF-8 at byte 0" in (run.dir / "skipped.csv").read_text()
