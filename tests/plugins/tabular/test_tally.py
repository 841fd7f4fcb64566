"""A column that comes as Arrow arrays makes the schema of its cells, and is refused in the same words."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from contrapose.data.table import as_cell
from contrapose.errors import ConfigError, ContraposeWarning
from contrapose_tabular import tally
from contrapose_tabular.infer import infer
from contrapose_tabular.moments import Moments
from contrapose_tabular.schema import Categorical, Moment, Numeric, Part, Schema

DAYS = [dt.date(2023, 12, 31), None, dt.date(2024, 2, 29)]
TIMES = [dt.datetime(2023, 12, 31, 0, 0), None, dt.datetime(2024, 7, 1, 17, 30)]
BERLIN = pa.array([dt.datetime(2024, 7, 1, 23, 30, tzinfo=dt.UTC)] * 2, pa.timestamp("us", "Europe/Berlin"))


class Table:
    """Cells of one column in batches of ``rows``."""

    def __init__(self, column: pa.Array, rows: int = 3) -> None:
        self.parts = [column.slice(i, rows) for i in range(0, len(column), rows)]

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        return ({"c": as_cell(cell)} for part in self.parts for cell in part)

    def batches(self) -> Iterator[pa.RecordBatch]:
        return (pa.record_batch([part], names=["c"]) for part in self.parts)


def both(column: pa.Array, type: Any = None) -> tuple[Schema | str, Schema | str]:
    """By row and by column: the schema, or what is said."""
    table, types = Table(column), {"c": type} if type else None
    found: list[Schema | str] = []
    for rows in (list(table), table):
        try:
            found.append(infer(rows, types))
        except ConfigError as error:
            found.append(str(error))
    return found[0], found[1]


COLUMNS = {
    "float": pa.array([1.5, None, math.nan, -2.0, 1e6, 3.25, 0.1]),
    "float32": pa.array(np.float32([0.1, 0.2, 0.3, 7])),
    "integer": pa.array([3, 1, None, 2**60, 5]),
    "unsigned": pa.array([3, 2**64 - 1], pa.uint64()),
    "alike": pa.array([0.1] * 7),
    "decimal": pa.array([Decimal("1.10"), None, Decimal("2.20")]),
    "boolean": pa.array([True, None, False, True]),
    "text": pa.array(["oak", "ash", None, "", "  ", "oak", "elm"]),
    "large text": pa.array(["oak", "ash"], pa.large_string()),
    "postcodes": pa.array(["01234", "80331", "01234"]),
    "mixed": pa.array(["1.5", "2", "wide", "3"]),
    "mixed late": pa.array(["wide", "x", "y", "2"]),
    "infinite": pa.array([1.0, 2.0, 3.0, math.inf]),
    "too large": pa.array([1e308, -1e308, 1e308]),
    "blank": pa.array([None, None], pa.float64()),
    "nothing": pa.nulls(3),
    "bytes": pa.array([b"\x89PNG"]),
    "lists": pa.array([["a"], ["b"]]),
    "no utf-8": pa.Array.from_buffers(pa.string(), 2, pa.array([b"fine", b"\xff\xfe"]).buffers()),
    "dates": pa.array(DAYS),
    "times": pa.array(TIMES, pa.timestamp("s")),
    "nanoseconds": pa.array(TIMES, pa.timestamp("ns")),
    "zone": BERLIN,
    "time of day": pa.array([dt.time(12)]),
}


@pytest.mark.parametrize("name", COLUMNS)
def test_by_column_as_by_row(name: str) -> None:
    rows, columns = both(COLUMNS[name])
    assert type(rows) is type(columns), (rows, columns)
    if isinstance(rows, str):
        assert columns == rows
        return
    for a, b in zip(rows.columns, columns.columns, strict=True):
        if isinstance(a, Numeric):
            assert isinstance(b, Numeric)
            assert (a.name, type(a), a.cells) == (b.name, type(b), b.cells)
            assert (a.mean, a.std) == (pytest.approx(b.mean, rel=1e-12), pytest.approx(b.std, rel=1e-12))
            assert a.quantiles == pytest.approx(b.quantiles, rel=1e-9, abs=1e-9)
        else:
            assert a == b


@pytest.mark.parametrize("type", ["numeric", "categorical", "boolean", "time", "id", "ignored"])
@pytest.mark.parametrize("name", ["float", "boolean", "text", "postcodes", "dates", "bytes", "blank"])
def test_by_column_as_by_row_where_the_config_says_what_it_is(name: str, type: str) -> None:
    rows, columns = both(COLUMNS[name], type)
    assert rows == columns


def test_what_the_config_may_say() -> None:
    def of(values: list[Any], type: str) -> list[Any]:
        found = both(pa.array(values), type)[1]
        return list(found.columns) if isinstance(found, Schema) else [found]

    assert of(["yes", "No", None, "Y"], "boolean") == [Categorical("c", ("false", "true"), None, True)]
    assert of([0, 1, 1], "boolean") == [Categorical("c", ("false", "true"), None, True)]
    assert of([0, 2], "boolean") == ["column 'c': 2 is neither true nor false: mend it, or leave it blank"]
    assert [c.name for c in of(["2024-12-31", None, "2025-01-01T12:00Z"], "time")] == [
        "c",
        "c.month",
        "c.weekday",
        "c.hour",
    ]
    assert of(["2024-12-31", "soon"], "time")[0].startswith(
        "column 'c': 'soon' is no date or time: write it as 2024-12-31"
    )
    assert of([1, 2], "time")[0].startswith("column 'c': 1 is no date or time")
    assert of([1, 2], "id") == ["nothing to learn from: c are all left out"]


def test_dates_are_seconds_and_what_comes_round() -> None:
    (dates,) = {both(COLUMNS["dates"])[1]}
    assert isinstance(dates, Schema)
    moment, month, weekday = dates.columns
    assert isinstance(moment, Moment)
    assert isinstance(month, Part)
    stamps = [dt.datetime(d.year, d.month, d.day, tzinfo=dt.UTC).timestamp() for d in DAYS if d]
    assert (moment.mean, moment.std) == (pytest.approx(np.mean(stamps)), pytest.approx(np.std(stamps)))
    assert dates.sources == ("c",)
    for cell in (dt.date(2024, 12, 2), dt.datetime(2024, 12, 2), "2024-12-02", " 2024-12-02T00:00Z "):
        assert moment.text(np.float32(moment.code(cell))) == "2024-12-02"
        assert (month.text(month.code(cell)), weekday.text(weekday.code(cell))) == ("Dec", "Mon")  # type: ignore[union-attr]
    assert math.isnan(moment.code(None))
    assert (month.code(""), month.size) == (0, 14)
    assert moment.text(1e30) == "beyond the calendar"


def test_a_time_of_day_makes_hours_in_the_zone_that_the_cell_tells() -> None:
    found = both(BERLIN)[1]
    assert isinstance(found, Schema)
    cell = as_cell(BERLIN[0])
    assert [c.text(c.code(cell)) for c in found.columns] == ["2024-07-01 23:30", "Jul", "Tue", "01"]


def test_moments_merge_as_one() -> None:
    rng = np.random.default_rng(0)
    numbers = rng.normal(1e9, 1e-2, 5000)
    parts = Moments()
    for part in np.split(numbers, [1, 10, 1000, 1000, 4999]):
        parts.add(part)
    assert (parts.count, parts.low, parts.high) == (5000, numbers.min(), numbers.max())
    assert (parts.mean, parts.std) == (pytest.approx(numbers.mean(), rel=1e-15), pytest.approx(numbers.std(), rel=1e-6))


def test_many_categories_are_told_and_too_many_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    column = pa.array([f"word {i}" for i in range(10_000)] * 2)
    with pytest.warns(ContraposeWarning, match=r"column 'c' has 10,000 categories: .* types: \{c: id\}"):
        (made,) = infer(Table(column, 8000)).columns
    assert isinstance(made, Categorical)
    assert made.size == 10_002
    monkeypatch.setattr(tally, "TOO_MANY", 9000)
    with pytest.raises(ConfigError, match=r"column 'c' has more than 9,000 categories: .* types: \{c: id\}"):
        infer(Table(column, 8000))
