"""What goes wrong with words and tables, from the command line: one line that names the column and says what to do."""

from __future__ import annotations

import csv
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from contrapose.cli import main

WOODS = ("oak", "pine", "ash", "elm")
CONFIG = """\
data: things.parquet
split: {column: part}
modalities: {text: name, tabular: [width, depth, wood]}
views: {text: text/dropout, tabular: {use: tabular/scarf, rate: 0.5}}
encoders:
  text: {use: text/transformer, layers: 1, width: 16, heads: 2}
  tabular: {use: tabular/mlp, layers: 1, width: 16}
method: {use: pair-graph, pairs: [[text, tabular]], hidden: 16, out: 8}
train: {epochs: 1, batch_size: 8, threads: 1, device: cpu}
"""


def table(**changes: list) -> dict[str, list]:
    n = range(24)
    columns: dict[str, list] = {
        "name": [f"{WOODS[i % 4]} chair {'with arms' if i % 3 else 'for the garden'}" for i in n],
        "width": [40.0 + i for i in n],
        "depth": [50.0 - i if i % 5 else None for i in n],
        "wood": [WOODS[i % 4] for i in n],
        "part": ["test" if i >= 16 else "train" for i in n],
    }
    return columns | changes


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my.yaml").write_text(CONFIG)
    pq.write_table(pa.table(table()), "things.parquet")
    return tmp_path


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    here = tmp_path_factory.mktemp("run")
    (here / "my.yaml").write_text(CONFIG)
    pq.write_table(pa.table(table()), here / "things.parquet")
    assert main(["train", str(here / "my.yaml"), "--out", str(here / "run")]) == 0
    return here / "run"


def said(capsys: pytest.CaptureFixture, kind: str = "error") -> str:
    err = capsys.readouterr().err
    assert "Traceback" not in err
    lines = [line for line in err.splitlines() if line.startswith(f"{kind}:")]
    assert len(lines) == 1, err
    return lines[0]


def skipped(where: Path) -> list[tuple[str, str, str]]:
    with open(where / "skipped.csv", newline="") as file:
        return [(row["sample"], row["modality"], row["reason"]) for row in csv.DictReader(file)]


def test_mixed_types_name_the_column_and_what_to_do(place: Path, capsys: pytest.CaptureFixture) -> None:
    columns = table(part=["train"] * 24, width=[*map(str, range(23)), "wide"])
    pq.write_table(pa.table(columns), "things.parquet")
    assert main(["train", "my.yaml", "--set", "split=none"]) == 1
    line = said(capsys)
    assert "my.yaml" in line
    assert "width" in line
    assert "'wide'" in line
    assert "types" in line


def test_an_all_missing_column_is_left_out_with_one_warning(place: Path, capsys: pytest.CaptureFixture) -> None:
    pq.write_table(pa.table(table(depth=pa.array([None] * 24, pa.float64()))), "things.parquet")
    assert main(["train", "my.yaml"]) == 0
    assert "depth" in said(capsys, "warning")


def test_empty_text_and_what_is_no_text_are_skipped_and_listed(place: Path, capsys: pytest.CaptureFixture) -> None:
    names = [bytes(name, "utf-8") for name in table()["name"]]
    names[3], names[5] = b"  ", b"\xff chair"
    raw = pa.array(names, pa.binary())
    text = pa.Array.from_buffers(pa.string(), len(raw), raw.buffers())
    pq.write_table(pa.table(table(name=text)), "things.parquet")
    assert main(["train", "my.yaml", "--set", "train.epochs=2"]) == 3  # more than a tenth of 16
    found = sorted(skipped(place / "runs/my"))
    assert [(i, m) for i, m, _ in found] == [("3", "text"), ("5", "text")]
    assert "empty text" in found[0][2]
    assert "UTF-8" in found[1][2]


def test_numbers_in_the_place_of_text(place: Path, capsys: pytest.CaptureFixture) -> None:
    pq.write_table(pa.table(table(name=list(range(24)))), "things.parquet")
    assert main(["train", "my.yaml"]) == 1
    line = said(capsys)
    assert "name" in line
    assert "no text" in line


def test_a_column_that_is_gone_is_named(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    changed = table()
    changed["breadth"] = changed.pop("width")
    pq.write_table(pa.table(changed), tmp_path / "new.parquet")
    assert main(["embed", str(run), str(tmp_path / "new.parquet"), "-o", str(tmp_path / "z.parquet")]) == 0
    assert said(capsys, "warning").endswith("new.parquet has no column 'width': tabular is left out")
    assert "z_text" in pq.read_schema(tmp_path / "z.parquet").names
    assert "z_tabular" not in pq.read_schema(tmp_path / "z.parquet").names


def test_a_column_of_another_type_and_an_unseen_category(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    new = tmp_path / "new.parquet"
    pq.write_table(pa.table(table(wood=["mahogany"] * 24)), new)
    out = ["-o", str(tmp_path / "z.parquet")]
    assert main(["embed", str(run), str(new), *out]) == 0
    line = said(capsys, "warning")
    assert "wood" in line
    assert "'mahogany'" in line
    pq.write_table(pa.table(table(width=["wide"] * 24)), new)
    assert main(["embed", str(run), str(new), *out]) == 1
    line = said(capsys)
    assert "column 'width': expected a number as in the training split, found the text 'wide'" in line
    assert "in all 24 cells looked at: its type has changed" in line
    pq.write_table(pa.table(table(width=["wide", *["41"] * 23])), new)
    assert main(["embed", str(run), str(new), *out]) == 0
    told = capsys.readouterr().out
    assert "23 of 24 rows" in told
    assert "skipped: row 0, tabular" in told
    assert "width" in told


def test_a_new_column_is_told_once(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    pq.write_table(pa.table(table(colour=["red"] * 24)), tmp_path / "new.parquet")
    assert main(["embed", str(run), str(tmp_path / "new.parquet"), "-o", str(tmp_path / "z.parquet")]) == 0
    assert said(capsys, "warning") == "warning: the training data had no column 'colour': nothing reads what is new"


def test_a_query_of_a_modality_that_the_run_lacks(run: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["search", str(run), "--query", "txt=chair"]) == 1
    assert "did you mean 'text'?" in said(capsys)
    assert main(["search", str(run), "--query", "image=chair.png"]) == 1
    line = said(capsys)
    assert "image" in line
    assert "text, tabular" in line or "tabular, text" in line
