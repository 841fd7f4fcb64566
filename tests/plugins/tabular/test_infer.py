"""From the training split's cells to a schema, and what is said of columns that make none."""

from __future__ import annotations

import datetime
import json
import math
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from contrapose.data import open_reader
from contrapose.errors import ConfigError, ContraposeWarning
from contrapose_tabular.infer import infer
from contrapose_tabular.modality import Tabular
from contrapose_tabular.schema import Categorical, Numeric, Schema


def column(values: list[Any], **types: Any) -> Numeric | Categorical:
    (made,) = infer([{"c": v} for v in values], types).columns
    return made


def test_columns_keep_their_order_and_get_their_types(cells: list[dict[str, Any]]) -> None:
    schema = infer(cells)
    assert [(c.name, type(c), c.cells) for c in schema.columns] == [
        ("price", Numeric, "number"),
        ("floor", Numeric, "number"),
        ("old", Categorical, "boolean"),
        ("room", Categorical, "text"),
    ]
    assert [c.categories for c in schema.categorical] == [("false", "true"), ("attic", "bath", "cellar")]
    prices = [row["price"] for row in cells if row["price"] is not None]
    assert schema.numeric[0].mean == pytest.approx(np.mean(prices), rel=1e-12)
    assert schema.numeric[0].std == pytest.approx(np.std(prices), rel=1e-12)


def test_the_schema_survives_json(cells: list[dict[str, Any]]) -> None:
    schema = infer(cells, {"floor": "categorical"})
    again = Schema.from_json(json.loads(json.dumps(schema.to_json())))
    assert again == schema
    assert again.columns[1] == Categorical("floor", tuple("0123456"), None)


@pytest.mark.parametrize(
    "values",
    [[1, 2, 3], [1.0, None, 2.0, math.nan, 3.0], [Decimal(1), Decimal(2), Decimal(3)], list(np.float32([1, 2, 3]))],
)
def test_numbers_of_any_kind_are_numeric(values: list[Any]) -> None:
    made = column(values)
    assert isinstance(made, Numeric)
    assert (made.mean, made.std) == (2.0, pytest.approx(math.sqrt(2 / 3)))


def test_text_of_digits_is_text() -> None:
    """Postcodes are no quantities, whether or not they begin with 0."""
    assert column(["01234", "80331", "01234"]) == Categorical("c", ("01234", "80331"), "text")


def test_the_config_may_say_otherwise() -> None:
    assert column([3, 1, 3, None], c="categorical") == Categorical("c", ("1", "3"), None)
    assert column([3.0, 1.0], c="categorical") == column(
        [3, 1], c="categorical"
    )  # the same column with a blank, by pandas
    assert column(["a", 1, True], c="categorical") == Categorical("c", ("1", "a", "true"), None)
    assert column(["1.5", "-2e1", " 3 "], c="numeric").name == "c"
    assert column([True, False, True, True], c="numeric") == Numeric("c", 0.75, pytest.approx(math.sqrt(0.1875)), None)


def test_a_constant_column_is_all_zeros() -> None:
    made = column([0.1] * 7)
    assert isinstance(made, Numeric)
    assert made.std == 1.0
    assert made.code(0.1) == pytest.approx(0, abs=1e-12)
    assert made.text(0.0) == "0.1"


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (
            ["59.4", "wide", "3"],
            r"column 'c' mixes numbers and words, '59\.4' and 'wide': .* types: \{c: categorical\}",
        ),
        (["wide", "59.4"], r"mixes words and numbers, 'wide' and '59\.4'"),
        ([1.5, "wide"], r"mixes numbers and words, 1\.5 and 'wide'"),
        ([True, 2], r"mixes booleans and numbers, True and 2"),
        ([b"\x89PNG"], r"column 'c' holds bytes, .* leave it out, or convert it"),
        ([[1, 2]], r"column 'c' holds list"),
        ([{"a": 1}], r"column 'c' holds dict"),
        ([datetime.time(12)], r"column 'c' holds time"),
        ([1.0, math.inf], r"column 'c': inf is no finite number"),
        ([1, 10**400], r"column 'c': 1000.* is no finite number"),
        ([1e308, -1e308, 1e308], r"column 'c': its numbers are too large"),
        ([None, "", "  ", math.nan], r"nothing to learn from: c is blank in the training split"),
        ([], r"nothing to learn from: every row is blank"),
    ],
)
def test_what_makes_no_column_is_said_in_one_line(values: list[Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        column(values)
    assert "\n" not in str(caught.value)


def test_words_said_to_be_numbers_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"column 'c': '\?' is no number: mend it, or leave it blank"):
        column(["1", "?"], c="numeric")


def test_a_type_for_a_column_that_is_not_there() -> None:
    with pytest.raises(ConfigError, match=r"no column 'flor'; did you mean 'floor'") as caught:
        infer([{"floor": 1}], {"flor": "categorical"})
    assert caught.value.path == ("types", "flor")


def test_a_blank_column_is_left_out_with_one_warning() -> None:
    rows = [{"a": 1.0, "b": None, "c": "x"}, {"a": 2.0, "b": math.nan, "c": "y"}]
    with pytest.warns(
        ContraposeWarning, match=r"^column 'b' is blank in the whole training split: it is left out$"
    ) as told:
        schema = infer(rows)
    assert len(told) == 1
    assert [c.name for c in schema.columns] == ["a", "c"]


def test_a_schema_of_several_datasets_is_the_same_by_column_as_by_row() -> None:
    n = range(40)
    one = pa.table({"width": [i % 7 for i in n], "wood": [("oak", "ash", None)[i % 3] for i in n]})
    other = pa.table({"wide": [i / 3 for i in n], "wood": ["elm", "oak"] * 20})
    of = {"one": one, "other": {"data": other, "modalities": {"tabular": ["wide", "wood"]}}}
    reader = open_reader({"use": "several", "of": of}, {"tabular": Tabular()}, {"tabular": ["width", "wood"]}, {})
    cells = reader.subset(range(70)).cells("tabular")
    found, by_row = infer(cells), infer(list(cells))
    (width, wood), (also, other_wood) = found.columns, by_row.columns
    assert isinstance(width, Numeric)
    assert isinstance(also, Numeric)
    assert (width.name, width.mean, width.std) == ("width", pytest.approx(also.mean), pytest.approx(also.std))
    assert width.quantiles == pytest.approx(also.quantiles)
    assert wood == other_wood == Categorical("wood", ("ash", "elm", "oak"))
