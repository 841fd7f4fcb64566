"""Whole runs on the furniture's columns: fitted on the training split alone, and what a user is told."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

import contrapose as cp
from contrapose.cli import main
from contrapose.engine.build import Parts
from contrapose.errors import ContraposeWarning
from contrapose.report.preview import as_text

FURNITURE = Path(__file__).parents[3] / "examples/data/furniture/furniture.parquet"
COLUMNS = ["width", "depth", "height", "elevation", "movable"]


def scarf(data: Path, columns: Any = COLUMNS, batched: bool = False, **train: Any) -> dict[str, Any]:
    return {
        "data": str(data),
        "split": {"column": "split"},
        "modalities": {"tabular": columns},
        "views": {"tabular.anchor": "tabular/eval", "tabular.corrupted": {"use": "tabular/scarf", "batched": batched}},
        "encoders": {"tabular": {"use": "tabular/mlp", "layers": 2, "width": 32}},
        "method": "tabular/scarf",
        "train": {"batch_size": 64, "lr": 1e-3, "device": "cpu", "threads": 1, **train},
    }


def furniture(folder: Path, **outlier: float) -> Path:
    """The furniture's numbers, of which the first piece of the test split is an outlier."""
    table = pq.read_table(FURNITURE, columns=[*COLUMNS, "room", "split"])
    first = table.column("split").to_pylist().index("test")
    for name, value in outlier.items():
        values = table.column(name).to_pylist()
        values[first] = value
        table = table.set_column(table.schema.get_field_index(name), name, pa.array(values))
    pq.write_table(table, folder / "furniture.parquet")
    return folder / "furniture.parquet"


def write_csv(path: Path, rows: list[dict[str, Any]]) -> Path:
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> cp.Run:
    config = scarf(FURNITURE, epochs=3)
    return cp.train(config, out=tmp_path_factory.mktemp("furniture") / "run", quiet=True)


def test_a_run_on_the_furnitures_columns(run: cp.Run) -> None:
    with open(run.dir / "metrics.csv") as file:
        losses = [float(row["loss"]) for row in csv.DictReader(file)]
    assert len(losses) == 3 * (615 // 64)
    assert np.isfinite(losses).all()
    assert np.mean(losses[-5:]) < np.mean(losses[:5])
    found = run.embed("test")["tabular"]
    assert found.z.shape == (205, 256)
    assert found.z.std(axis=0).max() > 0


def test_what_was_fitted_is_saved_and_applied_later(run: cp.Run) -> None:
    again = cp.load(run.dir)
    np.testing.assert_array_equal(again.embed("test")["tabular"].z, run.embed("test")["tabular"].z)
    assert again.parts.facts("tabular") == run.parts.facts("tabular")
    saved = json.loads((run.dir / "fitted.json").read_text())["modalities"]["tabular"]["columns"]
    assert [column["name"] for column in saved] == COLUMNS
    assert saved[4]["categories"] == ["false", "true"]


@pytest.mark.parametrize("batched", [False, True])
def test_one_view_is_the_row_and_the_other_its_corruption(batched: bool) -> None:
    parts = Parts(cp.Config.of(scarf(FURNITURE, batched=batched)))
    loader = parts.train_loader()
    loader.set_epoch(0)
    batch = next(iter(loader))
    reader = parts.splits["train"]
    rows = {reader[i].id: reader[i].data["tabular"] for i in range(len(reader))}
    plain = parts.modalities["tabular"].collate([rows[i] for i in batch.sample.tolist()])
    anchor, corrupted = (batch.views[f"tabular/{slot}"].data for slot in ("anchor", "corrupted"))
    changed = sum((corrupted[part] != plain[part]).sum(dim=1) for part in plain)
    for part, values in plain.items():
        assert torch.equal(anchor[part], values)
    assert changed.max() == 3  # of 5 at 0.6; fewer where a column redrew its value
    assert changed.float().mean() > 1.5


def test_only_the_training_split_is_fitted(tmp_path: Path) -> None:
    """An outlier of the test split moves no mean, and no view ever draws it."""
    found = []
    for folder, outlier in [(tmp_path / "a", {}), (tmp_path / "b", {"width": 1e6, "height": -1e6})]:
        folder.mkdir()
        parts = Parts(cp.Config.of(scarf(furniture(folder, **outlier))))
        found.append(
            (parts.facts("tabular")["schema"], parts.fitted()["views"]["tabular.corrupted"]["numeric"]["values"])
        )
    (schema, values), (other_schema, other_values) = found
    assert schema == other_schema
    np.testing.assert_array_equal(values, other_values)
    assert np.abs(values).max() < 50


def test_a_batched_run_is_a_function_of_its_seed(tmp_path: Path) -> None:
    made = [cp.train(scarf(FURNITURE, batched=True, steps=3), out=tmp_path / name, quiet=True) for name in "ab"]
    np.testing.assert_array_equal(*(r.embed("test")["tabular"].z for r in made))


THINGS = [{"size": 1.5 * i, "kind": "abc"[i % 3], "split": "train" if i < 12 else "test"} for i in range(16)]


def say(capsys: pytest.CaptureFixture[str], config: dict[str, Any], folder: Path) -> tuple[int, str]:
    """What ``contrapose train`` prints of a config."""
    (folder / "c.yaml").write_text(json.dumps(config))
    code = main(["train", str(folder / "c.yaml"), "--out", str(folder / "run")])
    return code, " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("size", "large", r"column 'size' mixes numbers and words, '0.0' and 'large'"),
        ("size", "inf", r"column 'size': inf is no finite number"),
    ],
)
def test_a_column_that_makes_none_stops_a_run_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], column: str, value: str, said: str
) -> None:
    rows = [{**row, column: value} if i == 7 else row for i, row in enumerate(THINGS)]
    config = scarf(write_csv(tmp_path / "t.csv", rows), ["size", "kind"], batch_size=4)
    code, printed = say(capsys, config, tmp_path)
    assert code != 0
    assert said in printed
    assert "c.yaml:1" in printed
    assert "Traceback" not in printed


def test_types_for_a_column_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    columns = {"columns": ["size", "kind"], "types": {"sise": "categorical"}}
    code, printed = say(capsys, scarf(write_csv(tmp_path / "t.csv", THINGS), columns, batch_size=4), tmp_path)
    assert code != 0
    assert "modalities.tabular.types.sise" in printed
    assert "there is no column 'sise'; did you mean 'size'?" in printed


def test_other_data_of_another_schema(tmp_path: Path) -> None:
    """A blank column is left out; an unseen word counts as unseen and is told; a row of another type is skipped, and said why."""
    rows = [{**row, "blank": None if row["split"] == "train" else 1} for row in THINGS]
    data = write_csv(tmp_path / "t.csv", rows)
    config = scarf(data, ["size", "kind", "blank"], batch_size=4, steps=2)
    with pytest.warns(ContraposeWarning, match="column 'blank' is blank in the whole training split"):
        run = cp.train(config, out=tmp_path / "run", quiet=True)
    other = [
        {"size": 3, "kind": "new", "blank": 2},
        {"size": "large", "kind": "a", "blank": 2},
        {"size": 4, "kind": "b", "blank": 2},
    ]
    reader = run.parts.open(write_csv(tmp_path / "o.csv", other))
    with pytest.warns(ContraposeWarning, match="column 'kind': 'new' isn't in the training split"):
        sample, failed = reader.read(0)
    assert not failed
    assert sample.data["tabular"]["categories"].tolist() == [1]
    _, failed = reader.read(1)
    assert [(m, str(e)) for m, e in failed] == [
        ("tabular", "column 'size': expected a number as in the training split, found the text 'large'")
    ]
    assert run.embed(reader)["tabular"].ids.tolist() == [0, 2]


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (["Size", "kind"], "has no column 'size', which the run's tabular reads; did you mean 'Size'?"),
        (["kind"], "has no column 'size', which the run's tabular reads"),
        (["split"], "has none of the run's columns (tabular: size, kind)"),
    ],
)
def test_other_data_that_lack_a_column_are_told_which(
    things: cp.Run, tmp_path: Path, capsys: pytest.CaptureFixture[str], names: list[str], says: str
) -> None:
    data = write_csv(tmp_path / "o.csv", [{name: row[name.lower()] for name in names} for row in THINGS])
    assert main(["embed", str(things.dir), str(data), "-o", str(tmp_path / "z.parquet")]) == 1
    assert capsys.readouterr().err.strip().endswith(f"{data} {says}")


@pytest.fixture(scope="module")
def things(tmp_path_factory: pytest.TempPathFactory) -> cp.Run:
    folder = tmp_path_factory.mktemp("things")
    config = scarf(write_csv(folder / "t.csv", THINGS), ["size", "kind"], batch_size=4, steps=2)
    return cp.train(config, out=folder / "run", quiet=True)


def test_the_sheet_of_views_has_those_that_are_mixed_of_a_batch(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = scarf(write_csv(tmp_path / "t.csv", THINGS), ["size", "kind"], batch_size=4)
    config["views"]["tabular.corrupted"] = {"use": "tabular/in-batch", "of": "anchor", "rate": 1.0}
    (tmp_path / "c.yaml").write_text(json.dumps(config))
    drawn: list[Any] = []
    monkeypatch.setattr("contrapose.report.pictures.view_sheet", lambda *args: drawn.append(args[:2]))
    assert main(["views", str(tmp_path / "c.yaml"), "-n", "5", "-o", str(tmp_path / "v.png")]) == 0
    assert "failed" not in capsys.readouterr().out
    rows, columns = drawn[0]
    assert [slot for _, slot in columns] == ["original", "anchor", "corrupted"]
    words = [[as_text(preview) for preview in previews] for _, previews in rows]
    assert all(anchor == original != corrupted for original, anchor, corrupted in words)
    sizes = {anchor.splitlines()[0] for _, anchor, _ in words}
    assert {corrupted.splitlines()[0] for _, _, corrupted in words} <= sizes

    assert main(["views", str(tmp_path / "c.yaml"), "-n", "1", "-o", str(tmp_path / "v.png")]) == 0
    said = capsys.readouterr().out
    assert "failed: tabular/corrupted isn't drawn: it takes two samples or more with tabular/anchor" in said
    ((_, previews),) = drawn[1][0]
    assert as_text(previews[2]) == "not drawn"


def test_a_single_row_is_no_training_split(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """However small the batches are said to be."""
    rows = [{**row, "split": "train" if i == 0 else "test"} for i, row in enumerate(THINGS)]
    for size in (1, 64):
        config = scarf(write_csv(tmp_path / "t.csv", rows), ["size", "kind"], batch_size=size)
        code, printed = say(capsys, config, tmp_path)
        assert code != 0
        assert "the train split has a single sample, and contrast needs at least two" in printed
