"""Columns that no clean table has: what the schema shows of them, what a run says, and what another file makes of them."""

from __future__ import annotations

import datetime as dt
import json
import os
import warnings
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from contrapose.cli import main
from contrapose.data import check_cells, formats, open_reader
from contrapose.data.cache import arrow_file
from contrapose.data.table import map_table
from contrapose.errors import ConfigError, ContraposeWarning, DataError
from contrapose_tabular import infer_schema
from contrapose_tabular.modality import Tabular
from contrapose_tabular.profile import ColumnProfile

N = 40
NUMBERS = [1.5 * (i % 7) for i in range(N)]
ZONE = "America/New_York"


def of(column: Any, **types: Any) -> ColumnProfile:
    """What is shown of a column beside one of numbers."""
    return infer_schema(pa.table({"c": column, "b": NUMBERS}), types).columns[0]


def bad_text(*words: bytes) -> pa.Array:
    raw = pa.array([*words, *[b"oak"] * (N - len(words))])
    return pa.Array.from_buffers(pa.string(), N, raw.buffers())


def csv(folder: Path, **columns: list[str]) -> Path:
    """A CSV of cells as they are written."""
    lines = [",".join(columns), *(",".join(row) for row in zip(*columns.values(), strict=True))]
    path = folder / f"{'-'.join(columns)}.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def read(path: Path) -> pa.Table:
    return map_table(arrow_file(path))


def fitted(table: pa.Table, **types: Any) -> Tabular:
    made = Tabular(types)
    made.fit(open_reader(table, {"tabular": Tabular()}, {"tabular": table.schema.names}).cells("tabular"))
    return made


def codes(made: Tabular, data: Any) -> list[list[int]]:
    """The codes of the categories of other data, which must be alike; the same by row and by column."""
    assert made.schema is not None
    reader = open_reader(data, {"tabular": made}, {"tabular": list(made.schema.sources)})
    check_cells(reader, {"tabular": made})
    ((data, _),) = reader.batches("tabular")
    found: list[list[int]] = data["categories"].tolist()
    assert [reader[i].data["tabular"]["categories"].tolist() for i in range(len(reader))] == found
    return found


@pytest.mark.parametrize("said", [{}, {"c": "numeric"}])
def test_a_column_of_the_type_null_is_blank(said: dict[str, Any]) -> None:
    found = of(pa.nulls(N), **said)
    assert (found.type, found.distinct, found.missing, found.why) == ("ignored", 0, 1.0, "every cell is blank")


def test_text_that_is_no_utf8_is_shown() -> None:
    found = of(bad_text(b"\xff\xfe"))
    assert (found.type, found.shows) == ("ignored", r"\xff\xfe, oak, oak")
    assert found.why == "it holds text that isn't UTF-8"


BEYOND = {
    "before the year 1 where it is": (
        pa.array([-62135596800000000, 0] * (N // 2), pa.timestamp("us", ZONE)),
        f"a time beyond the calendar: 0001-01-01 00:00:00 UTC in {ZONE}",
    ),
    "milliseconds": (
        pa.array([0, 2**62] * (N // 2), pa.timestamp("ms")),
        "a time beyond the calendar: 4611686018427387904 of timestamp[ms]",
    ),
    "seconds": (pa.array([0, 10**12] * (N // 2), pa.timestamp("s")), "a time beyond the calendar: "),
    "microseconds": (
        pa.array([0, 10**18] * (N // 2), pa.timestamp("us")),
        "a time beyond the calendar: 1000000000000000000 of timestamp[us]",
    ),
    "days": (pa.array([0, 2**30] * (N // 2), pa.date32()), "a time beyond the calendar: 1073741824 of date32[day]"),
}


@pytest.mark.parametrize("name", BEYOND)
def test_a_time_beyond_the_calendar_is_told_in_one_line(name: str, tmp_path: Path) -> None:
    column, said = BEYOND[name]
    found = of(column)
    assert found.type == "ignored"
    assert found.why.startswith(f"column 'c' holds {said}")
    table = pa.table({"c": column, "b": NUMBERS})
    for types in ({}, {"c": "time"}):
        with pytest.raises(ConfigError, match=r"^column 'c' holds a time beyond the calendar"):
            fitted(table, **types)
    fitted(table, c="categorical")
    pq.write_table(table, tmp_path / "t.parquet")
    assert main(["schema", str(tmp_path / "t.parquet")]) == 0


@pytest.mark.parametrize("name", BEYOND)
def test_a_time_beyond_the_calendar_in_other_data_is_a_bad_cell(name: str) -> None:
    column = BEYOND[name][0]
    good = pa.array([0, 10**8] * (N // 2), pa.timestamp("s")).cast(pa.timestamp("us", getattr(column.type, "tz", None)))
    made = fitted(pa.table({"c": good, "b": NUMBERS}))
    reader = open_reader(pa.table({"c": column, "b": NUMBERS}), {"tabular": made}, {"tabular": ["c", "b"]})
    check_cells(reader, {"tabular": made})
    ((data, _),) = reader.batches("tabular")
    assert len(data["numeric"]) == N // 2
    bad = column.filter(pa.array([i % 2 == (name != "before the year 1 where it is") for i in range(N)]))
    with pytest.raises(DataError, match="in all 20 cells looked at: its type has changed"):
        codes(made, pa.table({"c": bad, "b": NUMBERS[:20]}))


def test_a_zone_that_is_not_known_is_named() -> None:
    column = pa.array([1, 2] * (N // 2), pa.timestamp("us", "Mars/Phobos"))
    said = "column 'c' has times in the zone 'Mars/Phobos', which isn't known here: convert it to UTC"
    assert (of(column).type, of(column).why) == ("ignored", said)
    with pytest.raises(ConfigError, match=said):
        fitted(pa.table({"c": column, "b": NUMBERS}))
    made = fitted(pa.table({"c": column.cast(pa.timestamp("us", "UTC")), "b": NUMBERS}))
    with pytest.raises(
        DataError, match=r"found the text '1970-01-01 00:00:00.000001 UTC in Mars/Phobos', and so in all 40"
    ):
        codes(made, pa.table({"c": column, "b": NUMBERS}))


def test_a_folder_and_what_may_not_be_read_are_told_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "t.parquet").mkdir()
    assert main(["schema", str(tmp_path / "t.parquet")]) == 1
    assert "t.parquet: a folder is no table; one ends in .parquet" in (err := capsys.readouterr().err)
    assert len(err.splitlines()) == 1
    with pytest.raises(DataError, match="Is a directory"):
        arrow_file(tmp_path / "t.parquet")
    csv(tmp_path, a=["1"]).chmod(0)
    if not os.access(tmp_path / "a.csv", os.R_OK):  # root may read all
        with pytest.raises(DataError, match="Permission denied"):
            arrow_file(tmp_path / "a.csv")


def test_a_table_without_rows_is_an_error() -> None:
    with pytest.raises(DataError, match=r"^the table has no rows$"):
        infer_schema(pa.table({"a": pa.array([], pa.int64())}))


def test_an_unknown_type_is_refused() -> None:
    with pytest.raises(ConfigError, match="column 'c': there is no type 'category'; did you mean 'categorical'"):
        of(NUMBERS, c="category")
    assert of([[1.0]] * N, c="categorical").why.startswith("column 'c' holds ndarray")


@pytest.mark.parametrize(
    "column", [[3.0] * N, [0.0, -0.0] * (N // 2), ["x"] * N, [True] * N, [dt.date(2024, 1, 1)] * N]
)
def test_one_value_tells_nothing(column: list[Any]) -> None:
    found = of(column)
    assert (found.type, found.why) == ("ignored", "one value only, which tells nothing")
    assert "-0" not in found.shows.split()
    with pytest.warns(
        ContraposeWarning, match="^nothing can be learnt of c: one value only in the whole training split$"
    ):
        fitted(pa.table({"c": column}))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fitted(pa.table({"c": column, "b": NUMBERS}))  # later data may have others


def test_one_value_or_none_tells_something() -> None:
    column = [None if i % 2 else "x" for i in range(N)]
    assert (of(column).type, of(column).why) == ("categorical", "words; one value only, or blank")
    assert of(["x"] * N, c="categorical").why == "types says so; one value only"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fitted(pa.table({"c": column, "d": [None if i % 3 else 7 for i in range(N)]}))
    one = infer_schema(pa.table({"a": [1.0]})).columns[0]
    assert (one.type, one.why) == ("numeric", "numbers"), "a single row has but one"


def test_rows_that_come_but_once_are_not_looked_at_again() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Tabular().fit(iter([{"a": 1.0}, {"a": None}]))


def test_negative_nought_is_nought() -> None:
    assert of([-0.0, 0.0, 1.0, -0.0] * 10).shows == "0 to 1"


@pytest.mark.parametrize("words", [[f"{i},5" for i in range(N)], [f"${i:,}.00" for i in range(0, 3000 * N, 3000)]])
def test_numbers_that_only_people_read_are_words(words: list[str]) -> None:
    said = "numbers written with , $ or % are words here"
    assert (of(words).type, of(words).why) == ("ignored", f"text, each row has its own; {said}")
    percents = of([f"{i % 7}%" for i in range(N)])
    assert (percents.type, percents.why) == ("categorical", said)


@pytest.mark.parametrize("words", [[f"192.168.0.{i}" for i in range(N)], [f"1.{i}.0" for i in range(N)]])
def test_words_of_digits_and_points_are_no_such_numbers(words: list[str]) -> None:
    assert (of(words).type, of(words).why) == ("id", "each row has its own")


def test_text_of_digits_is_the_same_in_a_csv(tmp_path: Path) -> None:
    words = {
        "zip": [f"{1000 + i % 7}" for i in range(N)],
        "sure": ["True" if i % 3 else "False" for i in range(N)],
    }
    table = pa.table(words)
    made = fitted(table)
    expected = codes(made, table)
    assert {code for row in expected for code in row} == {*range(2, 9)}
    path = csv(tmp_path, **words)
    assert [str(kind) for kind in read(path).schema.types] == ["int64", "bool"]
    assert codes(made, path) == expected
    assert codes(fitted(table, zip="categorical"), path) == expected


def test_a_number_in_a_column_of_words_is_still_refused() -> None:
    made = fitted(pa.table({"c": ["oak", "ash"] * (N // 2), "b": NUMBERS}))
    with pytest.raises(DataError, match=r"expected text as in the training split, found the number 3.0"):
        codes(made, pa.table({"c": [3.0] * N, "b": NUMBERS}))


def test_what_comes_late_in_a_csv_fits_what_came_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "BATCH_BYTES", 1 << 10)
    columns = {"a": ["-1", "2"] * 200, "b": ["5"] * 400, "c": [""] * 400}
    for name, late in {"a": str(2**63), "b": "true", "c": "true"}.items():
        columns[name] += [late] * 200  # whole blocks of it
    assert [str(kind) for kind in read(csv(tmp_path, **columns)).schema.types] == ["double", "string", "bool"]


def test_a_column_of_which_training_saw_no_word_is_told(tmp_path: Path) -> None:
    made = fitted(pa.table({"c": [f"0{i % 7}" for i in range(N)], "b": NUMBERS}), c="categorical")
    other = pa.table({"c": [i % 7 for i in range(N)], "b": NUMBERS})
    said = (
        "column 'c': none of the 40 cells looked at has a word that the training split had, 0 the first; all count as unseen: "
        "is it the same column?"
    )
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        assert {code for (code,) in codes(made, other)} == {1}
    assert [str(w.message) for w in told if w.category is ContraposeWarning] == [said]
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        codes(fitted(pa.table({"c": ["oak", "ash"] * 20})), pa.table({"c": ["elm"] * 19}))
    assert [str(w.message) for w in told] == [
        "column 'c': 'elm' isn't in the training split; such words count as unseen"
    ]


def test_another_unit_is_no_other_type() -> None:
    made = fitted(pa.table({"b": NUMBERS}))
    with pytest.raises(
        DataError, match=r"is no finite number in float32, and so in all 34 cells .*: are these in another unit"
    ):
        codes(made, pa.table({"b": [1e300 * (b or np.nan) for b in NUMBERS]}))


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        (np.array([0.45]), r"found [0.45]"),
        (Decimal("1.50"), "found the number 1.50"),
        (np.float64(2.5), "found the number 2.5"),
        (dt.datetime(2023, 1, 1), "found the time 2023-01-01 00:00:00"),
    ],
)
def test_cells_are_shown_as_people_write_them(cell: Any, said: str) -> None:
    made = fitted(pa.table({"c": ["oak", "ash"] * 20}))
    with pytest.raises(DataError) as error:
        made.load({"c": cell}, Path())
    assert str(error.value).endswith(said)


def test_a_time_is_no_number() -> None:
    times = pa.array([dt.datetime(2023, 1, 1)] * N)
    with pytest.raises(ConfigError, match=r"^column 'c': 2023-01-01 00:00:00 is no number: mend it"):
        fitted(pa.table({"c": times}), c="numeric")
    made = fitted(pa.table({"c": NUMBERS}), c="numeric")
    with pytest.raises(DataError, match=r"^column 'c': 'oak' is no number$"):
        made.load({"c": "oak"}, Path())


def test_such_a_table_trains_or_ends_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pq.write_table(pa.table({"c": BEYOND["milliseconds"][0], "b": NUMBERS}), tmp_path / "t.parquet")
    config = {
        "data": str(tmp_path / "t.parquet"),
        "modalities": {"tabular": ["c", "b"]},
        "views": {"tabular.a": "tabular/eval", "tabular.b": "tabular/scarf"},
        "encoders": {"tabular": {"use": "tabular/mlp", "layers": 1, "width": 8}},
        "method": "simclr",
        "train": {"steps": 1, "batch_size": 8, "threads": 1, "device": "cpu", "loggers": []},
    }
    (tmp_path / "c.yaml").write_text(json.dumps(config))
    assert main(["train", str(tmp_path / "c.yaml"), "--out", str(tmp_path / "run")]) == 1
    err = capsys.readouterr().err
    assert "column 'c' holds a time beyond the calendar" in err
    assert len(err.splitlines()) == 1
