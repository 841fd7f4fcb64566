"""What a person is shown of a table, and what of it can be pasted into a config."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pytest
from ruamel.yaml import YAML

import contrapose as cp
from contrapose.cli import main
from contrapose.engine.build import Parts
from contrapose.errors import ConfigError
from contrapose_tabular import infer_schema

N = range(40)
TABLE = {
    "id": [f"thing-{i:03}" for i in N],
    "row": list(N),
    "sold": [f"2024-{1 + i % 12:02}-05" for i in N],
    "made": [dt.date(2020, 1, 1 + i % 9) for i in N],
    "price": [None if i % 4 == 0 else 1.5 * i for i in N],
    "floor": [i % 3 for i in N],
    "room": [("bath", "attic", "bath")[i % 3] for i in N],
    "heated": [("yes", "no")[i % 2] for i in N],
    "old": [i % 5 == 0 for i in N],
    "zip": [("01234", "80331")[i % 2] for i in N],
    "note": [f"a long note about the thing {i}" for i in N],
    "icon": [f"pictures/{i}.png" for i in N],
    "mixed": ["wide" if i == 7 else str(i) for i in N],
    "blank": pa.nulls(40, pa.string()),
    "vector": [[1.0, 2.0]] * 40,
}


def test_each_column_is_told_for_what_it_is() -> None:
    found = infer_schema(pa.table(TABLE))
    assert found.rows == 40
    assert {c.name: c.type for c in found.columns} == {
        "id": "id",
        "row": "id",
        "sold": "time",
        "made": "time",
        "price": "numeric",
        "floor": "numeric",
        "room": "categorical",
        "heated": "boolean",
        "old": "boolean",
        "zip": "categorical",
        "note": "ignored",
        "icon": "ignored",
        "mixed": "ignored",
        "blank": "ignored",
        "vector": "ignored",
    }
    of = {c.name: c for c in found.columns}
    assert (of["price"].missing, of["price"].distinct, of["price"].shows) == (0.25, 30, "1.5 to 58.5")
    assert (of["room"].distinct, of["room"].shows) == (2, "bath, attic")
    assert of["sold"].shows == "2024-01-05 to 2024-12-05"
    assert of["zip"].why == "numbers in text; numeric where these are quantities"
    assert (of["note"].modality, of["icon"].modality) == ("text", "image")
    assert "mixes numbers and words, '0' and 'wide'" in of["mixed"].why
    assert (of["blank"].why, of["blank"].missing) == ("every cell is blank", 1.0)
    assert found.types == {"sold": "time", "heated": "boolean"}
    assert "room: categorical (bath, attic; 0% missing): words" in str(found)


def test_types_are_what_the_user_says() -> None:
    found = infer_schema(pa.table(TABLE), {"zip": "numeric", "mixed": "categorical", "room": "ignored"})
    assert {c.name: c.type for c in found.columns if c.why == "types says so"} == {
        "zip": "numeric",
        "mixed": "categorical",
        "room": "ignored",
    }
    assert found.types == {"sold": "time", "heated": "boolean", "zip": "numeric"}
    with pytest.raises(ConfigError, match="no column 'rom'; did you mean 'room'"):
        infer_schema(pa.table(TABLE), {"rom": "id"})


def test_the_command_shows_it_and_prints_what_trains(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = pa.table({k: v for k, v in TABLE.items() if k not in ("vector", "mixed")})
    pa.csv.write_csv(table, tmp_path / "things.csv")
    assert main(["schema", str(tmp_path / "things.csv")]) == 0
    shown = capsys.readouterr().out
    assert "heated" in shown
    assert "40 rows; 8 of 13 columns to learn from" in " ".join(shown.split())
    assert main(["schema", str(tmp_path / "things.csv"), "--yaml"]) == 0
    said = YAML(typ="safe", pure=True).load(capsys.readouterr().out)
    assert said["modalities"].pop("text") == "note"
    assert said["modalities"].pop("image") == "icon"
    said |= {"data": str(tmp_path / "things.csv"), "encoders": {"tabular": "tabular/mlp"}, "method": "simclr"}
    schema = Parts(cp.Config.of(said | {"views": {"tabular": "tabular/scarf"}})).facts("tabular")["schema"]
    assert schema.sources == ("sold", "made", "price", "floor", "room", "heated", "old", "zip")


def test_what_is_no_table_is_said_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema", str(tmp_path / "gone.csv")]) == 1
    assert capsys.readouterr().err.endswith("gone.csv: No such file or directory\n")
    assert main(["schema", str(tmp_path)]) == 1
    assert "no table; one ends in .parquet, .csv" in capsys.readouterr().err


def test_nothing_heavy_is_imported_before_it_is_used() -> None:
    heavy = "{'torch', 'numpy', 'pyarrow'} & {*sys.modules}"
    code = f"import contrapose_tabular.plugin, contrapose_tabular.command, sys; sys.exit(bool({heavy}))"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
