from __future__ import annotations

import math
import pickle
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from contrapose.errors import ConfigError, ContraposeWarning, DataError
from contrapose.report.preview import as_text
from contrapose.types import Modality
from contrapose_tabular.modality import Tabular

HERE = Path()
ROW = {"price": 2.5, "floor": 3, "old": True, "room": "bath"}


def fitted(*rows: dict[str, Any], **types: Any) -> Tabular:
    made = Tabular(types)
    made.fit(rows)
    return made


def test_it_is_a_modality() -> None:
    assert isinstance(Tabular(), Modality)


def test_load_standardises_and_codes(modality: Tabular, cells: list[dict[str, Any]]) -> None:
    row = modality.load(ROW, HERE)
    assert {part: (a.dtype, a.shape) for part, a in row.items()} == {
        "numeric": (np.float32, (2,)),
        "categories": (np.int64, (2,)),
    }
    assert row["categories"].tolist() == [3, 3]  # true, bath: after missing, unseen and false, attic
    loaded = np.stack([modality.load(c, HERE)["numeric"] for c in cells])
    np.testing.assert_allclose(np.nanmean(loaded, axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(np.nanstd(loaded, axis=0), 1, atol=1e-5)
    missing = [c["price"] is None for c in cells]
    np.testing.assert_array_equal(np.isnan(loaded[:, 0]), missing)
    assert 0 < sum(missing) < len(missing)


@pytest.mark.parametrize("blank", [None, math.nan, "", "  "])
def test_blanks_are_missing(modality: Tabular, blank: Any) -> None:
    row = modality.load({**ROW, "price": blank, "room": blank}, HERE)
    assert np.isnan(row["numeric"]).tolist() == [True, False]
    assert row["categories"].tolist() == [3, 0]


def test_new_columns_are_ignored_and_lacking_ones_are_named(modality: Tabular) -> None:
    assert modality.load({**ROW, "new": 7}, HERE).keys() == {"numeric", "categories"}
    with pytest.raises(DataError, match="no column 'room'"):
        modality.load({k: v for k, v in ROW.items() if k != "room"}, HERE)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"price": "dear"}, r"^column 'price': expected a number as in the training split, found the text 'dear'$"),
        ({"price": True}, r"^column 'price': expected a number as in the training split, found True$"),
        ({"price": math.inf}, r"^column 'price': inf is no finite number"),
        ({"price": 1e300}, r"^column 'price': 1e\+300 is no finite number"),
        ({"price": [1]}, r"^column 'price': expected a number .* found \[1\]$"),
        ({"room": 12}, r"^column 'room': expected text as in the training split, found the number 12$"),
        ({"room": b"bath"}, r"^column 'room': expected text .* found b'bath'$"),
        ({"old": 1}, r"^column 'old': expected true or false as in the training split, found the number 1$"),
        ({"old": "yes"}, r"^column 'old': expected true or false .* found the text 'yes'$"),
    ],
)
def test_schema_drift_is_refused_in_one_line(modality: Tabular, changed: dict[str, Any], said: str) -> None:
    with pytest.raises(DataError, match=said):
        modality.load({**ROW, **changed}, HERE)


def test_text_that_reads_as_a_number_is_one(modality: Tabular) -> None:
    """One word in another file's column makes all of it text; its other rows are as good as before."""
    np.testing.assert_array_equal(
        modality.load({**ROW, "price": "2.5"}, HERE)["numeric"], modality.load(ROW, HERE)["numeric"]
    )


def test_an_unseen_category_is_told_once_a_column(cells: list[dict[str, Any]]) -> None:
    made = fitted({"room": "bath", "wall": "red", "n": 1}, {"room": "attic", "wall": "blue", "n": 2})
    with pytest.warns(ContraposeWarning) as told:
        codes = [
            made.load({"room": r, "wall": w, "n": 1}, HERE)["categories"].tolist()
            for r, w in [("bath", "red"), ("garage", "red"), ("hall", "blue"), ("bath", "pink"), ("hall", "pink")]
        ]
    assert codes == [[3, 3], [1, 3], [1, 2], [3, 1], [1, 1]]
    assert [str(w.message) for w in told] == [
        "column 'room': 'garage' isn't in the training split; such words count as unseen",
        "column 'wall': 'pink' isn't in the training split; such words count as unseen",
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made.load({"room": "shed", "wall": "grey", "n": 1}, HERE)


def test_whole_numbers_as_categories_may_come_as_floats() -> None:
    made = fitted({"floor": 1}, {"floor": 2}, floor="categorical")
    assert [made.load({"floor": c}, HERE)["categories"].item() for c in (1, 2.0, "2", None)] == [2, 3, 3, 0]


def test_it_must_be_fitted_first() -> None:
    for use in (lambda m: m.load(ROW, HERE), lambda m: m.preview({"numeric": [], "categories": []})):
        with pytest.raises(ConfigError, match="isn't fitted"):
            use(Tabular())
    assert Tabular().facts() == {} == Tabular().state_dict()


def test_collate(modality: Tabular, cells: list[dict[str, Any]]) -> None:
    batch = modality.collate([modality.load(c, HERE) for c in cells[:40]])
    assert {part: (t.dtype, tuple(t.shape)) for part, t in batch.items()} == {
        "numeric": (torch.float32, (40, 2)),
        "categories": (torch.int64, (40, 2)),
    }
    assert batch["numeric"].isnan().any()


@pytest.mark.parametrize("row", [{"a": 1.0, "b": 2}, {"a": "x", "b": True}])
def test_a_table_may_lack_numbers_or_categories(row: dict[str, Any]) -> None:
    made = fitted(row, row)
    batch = made.collate([made.load(row, HERE)] * 3)
    assert sorted(tuple(t.shape) for t in batch.values()) == [(3, 0), (3, 2)]


def test_state_and_pickle_give_the_same_rows(modality: Tabular, cells: list[dict[str, Any]]) -> None:
    other = Tabular()
    other.load_state_dict(modality.state_dict())
    assert other.facts() == modality.facts()
    for again in (other, pickle.loads(pickle.dumps(modality))):
        for c in cells[:20]:
            for part, values in modality.load(c, HERE).items():
                np.testing.assert_array_equal(again.load(c, HERE)[part], values)


def test_preview_is_in_units_and_words(modality: Tabular) -> None:
    row = modality.load({"price": 59.400001525878906, "floor": 0, "old": False, "room": None}, HERE)
    assert as_text(modality.preview(row)) == "price: 59.4\nfloor: 0\nold: false\nroom: –"
    batch = modality.collate([row])
    assert modality.preview({part: t[0] for part, t in batch.items()}) == modality.preview(row)


def test_preview_escapes_and_names_the_unseen() -> None:
    made = fitted({"<b>": "x & y", "n": 2e6}, {"<b>": "z", "n": 1234567.0})
    shown = made.preview(made.load({"<b>": "x & y", "n": 1234567}, HERE))["text/html"]
    assert shown == "<table><tr><th>&lt;b&gt;</th><td>x &amp; y</td></tr><tr><th>n</th><td>1234567</td></tr></table>"
    with pytest.warns(ContraposeWarning):
        unseen = made.load({"<b>": "new", "n": None}, HERE)
    assert made.preview(unseen)["text/plain"] == "<b>: (unseen)\nn: –"


def test_suggest_claims_what_is_surely_a_quantity_or_a_class() -> None:
    columns = {
        "width": [59.4, 140.7, 48.5, 198.0] * 5,
        "movable": [True, False, True, True] * 5,
        "room": ["bath", "attic", "bath", "bath"] * 5,
        "name": [f"a chair of type {i}" for i in range(20)],  # text
        "row": list(range(20)),  # counts
        "constant": [1.0] * 20,
        "mixed": ["1", "x"] * 10,
        "picture": [b"\x89PNG"] * 20,
        "vector": [[1.0, 2.0]] * 20,
        "empty": [],
    }
    found = Tabular().suggest(columns, HERE, small=True)
    assert found is not None
    assert (found.columns, found.views, found.encoder) == (["width", "movable", "room"], "tabular/scarf", "tabular/mlp")
    assert Tabular().suggest({"name": columns["name"]}, HERE, small=True) is None
