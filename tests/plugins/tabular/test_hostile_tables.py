"""Tables as the world has them: each trains, or ends in one line that says where it is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

import contrapose as cp
from contrapose.cli import main
from contrapose.engine.build import Parts
from contrapose.errors import ContraposeWarning

ROWS = "".join(f"{i},{i % 3},{'xyz'[i % 3]}\n" for i in range(12))
GOOD = "a,b,c\n" + ROWS

REFUSED = {
    "ragged": (GOOD + "1,2\n", "Row #14: Expected 3 columns, got 2"),
    "too long a row": (GOOD + "1,2,3,4\n", "Row #14: Expected 3 columns, got 4"),
    "unclosed quote": ('a,b,c\n1,2,"x\n' + ROWS, "the quote that opens in row 2 is never closed"),
    "semicolons": (GOOD.replace(",", ";"), "seems to be several, parted by semicolons"),
    "column twice": (GOOD.replace("c", "a", 1), "the column 'a' appears twice"),
    "a null character among numbers": (GOOD + "1\0,2,x\n", r"column 'a' mixes numbers and words, '0' and '1\x00'"),
    "a word among numbers": (GOOD + "wide,2,x\n", "column 'a' mixes numbers and words, '0' and 'wide'"),
    "a number beyond float32's square": (GOOD + "1e300,2,x\n", "column 'a': its numbers are too large"),
    "a number of 400 digits": (GOOD + "9" * 400 + ",2,x\n", "column 'a': inf is no finite number"),
    "no header": (ROWS, "the column '0' appears twice"),
    "nothing": ("", "Empty CSV file"),
    "utf-16": (GOOD.encode("utf-16"), "it is UTF-16; save it as UTF-8"),
    "latin-1": ((GOOD + "1,2,é\n").encode("latin-1"), "Row #14: CSV conversion error to string: invalid UTF8 data"),
}
TAKEN = {
    "a byte order mark and ends of lines of Windows": "\ufeff" + GOOD.replace("\n", "\r\n"),
    "a quote within a word": GOOD + '1,2,x"y\n',
    "a null character in a word": GOOD + "1,2,x\0y\n",
    "one value and no value": "a,b,c\n" + "".join(f"{i},7,\n" for i in range(12)),
    "empty text": GOOD + '1,2,""\n,,\n1,2,   \n',
    "a word of a million letters": GOOD + f"1,2,{'x' * 1_000_000}\n",
}


def config(data: str, columns: list[str], **train: int) -> dict:
    return {
        "data": data,
        "modalities": {"tabular": columns},
        "views": {"tabular.a": "tabular/eval", "tabular.b": {"use": "tabular/scarf", "rate": 0.5}},
        "encoders": {"tabular": {"use": "tabular/mlp", "layers": 1, "width": 8}},
        "method": "simclr",
        "train": {"steps": 1, "batch_size": 8, "threads": 1, "device": "cpu", "loggers": [], **train},
    }


def fitted(said: dict) -> Parts:
    parts = Parts(cp.Config.of(said))
    parts.facts("tabular")
    return parts


def written(folder: Path, text: str | bytes) -> str:
    (folder / "t.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(folder / "t.csv")


@pytest.mark.parametrize("name", REFUSED)
def test_one_line_says_where_it_is_wrong(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text, said = REFUSED[name]
    (tmp_path / "c.yaml").write_text(json.dumps(config(written(tmp_path, text), ["a", "b", "c"])))
    assert main(["train", str(tmp_path / "c.yaml"), "--out", str(tmp_path / "run")]) == 1
    err = capsys.readouterr().err
    assert said in err
    assert len(err.splitlines()) == 1, err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", TAKEN)
@pytest.mark.filterwarnings("ignore::contrapose.errors.ContraposeWarning")
def test_what_only_looks_odd_is_read(name: str, tmp_path: Path) -> None:
    parts = Parts(cp.Config.of(config(written(tmp_path, TAKEN[name]), ["a", "b", "c"])))
    reader = parts.splits["train"]
    read = [reader.read(i) for i in range(len(reader))]
    assert all(not failed for _, failed in read)
    assert all(not np.isinf(sample.data["tabular"]["numeric"]).any() for sample, _ in read if sample.data)


def test_two_thousand_columns(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    columns = {f"n{i}": rng.normal(size=16) for i in range(1000)} | {f"c{i}": list("abcd") * 4 for i in range(1000)}
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    parts = Parts(cp.Config.of(config(str(tmp_path / "t.parquet"), list(columns))))
    method = parts.make_method()
    out = method.loss(next(iter(parts.train_loader())))
    assert torch.isfinite(out.loss)


def test_ten_thousand_categories_train_and_are_told(tmp_path: Path) -> None:
    words = [f"word {i}" for i in range(10_000)]
    frame = pa.table({"word": words, "size": [float(i % 7) for i in range(10_000)]})
    said = config("", ["word", "size"]) | {"data": frame, "views": {"tabular": "tabular/eval"}}
    with pytest.warns(ContraposeWarning, match=r"column 'word' has 10,000 categories"):
        parts = fitted(said)
    encoder = parts.make_method().encoders["tabular"]
    rows = [parts.splits["train"][i].data["tabular"] for i in (0, 9_999)]
    assert encoder(parts.modalities["tabular"].collate(rows))["pooled"].shape == (2, 8)


def test_text_of_parquet_that_is_not_utf8(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    raw = pa.array([b"oak", b"ash", b"\xff\xfe", *[b"oak"] * 9])
    text = pa.Array.from_buffers(pa.string(), 12, raw.buffers())
    pq.write_table(pa.table({"a": range(12), "c": text}), tmp_path / "t.parquet")
    (tmp_path / "c.yaml").write_text(json.dumps(config(str(tmp_path / "t.parquet"), ["a", "c"])))
    assert main(["train", str(tmp_path / "c.yaml"), "--out", str(tmp_path / "run")]) == 1
    assert "column 'c' holds bytes" in capsys.readouterr().err
