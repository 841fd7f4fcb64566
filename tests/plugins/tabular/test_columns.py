"""Cells that come by column are those that come one by one: in a row, in a view's marginals, in what is refused."""

from __future__ import annotations

import copy
import warnings
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from tests.plugins.tabular.test_tally import COLUMNS

from contrapose import Config
from contrapose.data.table import as_cell
from contrapose.engine.build import Parts
from contrapose.engine.components import Samples
from contrapose.errors import ConfigError, DataError
from contrapose_tabular.conditional import Conditional
from contrapose_tabular.marginals import Marginals
from contrapose_tabular.modality import Tabular
from contrapose_tabular.scarf import Scarf
from contrapose_tabular.schema import Schema
from contrapose_tabular.subsets import Subset

ROOT = Path()
NO_COLUMN = ("blank", "nothing", "bytes", "lists", "no utf-8", "time of day")


def fitted(column: pa.Array, type: Any = None) -> Tabular | None:
    made = Tabular({"c": type} if type else None)
    try:
        made.fit([{"c": as_cell(cell)} for cell in column])
    except ConfigError:
        return None
    return made


def by_row(modality: Tabular, column: pa.Array) -> dict[str, torch.Tensor]:
    return modality.collate([modality.load({"c": as_cell(cell)}, ROOT) for cell in column])


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> None:
    for part in ("numeric", "categories"):
        assert a[part].dtype == b[part].dtype
        torch.testing.assert_close(a[part], b[part], rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("name", COLUMNS)
def test_a_column_is_what_its_cells_are(name: str) -> None:
    column, made = COLUMNS[name], 0
    for type in (None, "numeric", "categorical", "boolean", "time"):
        if (modality := fitted(column, type)) is not None:
            same(modality.load_columns(pa.record_batch([column], ["c"]), ROOT), by_row(modality, column))
            made += 1
    assert bool(made) == (name not in NO_COLUMN)


def heard(read: Any) -> tuple[Any, list[str]]:
    """What is read, or the type of the error, and what was told."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        try:
            found = read()
        except DataError:
            found = DataError
    return found, [str(w.message) for w in told]


@pytest.mark.parametrize("type", [None, "numeric", "categorical", "time"])
@pytest.mark.parametrize("name", COLUMNS)
def test_other_data_are_read_or_refused_alike(name: str, type: Any) -> None:
    """A column by the schema of every other one."""
    column, tried = COLUMNS[name], 0
    for known in COLUMNS.values():
        if (modality := fitted(known, type)) is None:
            continue
        many, told = heard(partial(modality.load_columns, pa.record_batch([column], ["c"]), ROOT))
        modality._told.clear()
        single, said = heard(partial(by_row, modality, column))
        if single is DataError:
            assert many is DataError
        else:
            same(many, single)
            assert told == said, "unseen words are told alike"
        tried += 1
    assert tried > 3


def test_a_lacking_column_is_named() -> None:
    modality = fitted(pa.array([1.0, 2.0]))
    assert modality is not None
    with pytest.raises(DataError, match="no column 'c'"):
        modality.load_columns(pa.record_batch([pa.array([1.0])], ["d"]), ROOT)


def trees(folder: Path, rows: int = 400) -> Parts:
    """A table with blanks, a row that is blank in all of its columns, and a split."""
    rng = np.random.default_rng(0)
    height = np.round(rng.normal(size=rows), 1)
    columns = {
        "height": pa.array([None if n % 9 == 0 else h for n, h in enumerate(height.tolist())]),
        "width": pa.array([None if n == 18 else w for n, w in enumerate(rng.normal(size=rows).tolist())]),
        "kind": pa.array([None if n % 6 == 0 else ["oak", "ash", "elm"][n % 3] for n in range(rows)]),
        "label": pa.array(["ab"[n % 2] if n % 5 else None for n in range(rows)]),
        "split": pa.array([("train", "train", "test")[n % 3] for n in range(rows)]),
    }
    pq.write_table(pa.table(columns), folder / "trees.parquet")
    return Parts(
        Config.of(
            {
                "data": str(folder / "trees.parquet"),
                "meta": {"label": "label"},
                "split": {"column": "split"},
                "modalities": {"tabular": ["height", "width", "kind"]},
                "views": {"tabular": "tabular/eval"},
                "encoders": {"tabular": "tabular/mlp"},
                "method": "simclr",
            }
        )
    )


@pytest.fixture
def parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Parts:
    monkeypatch.setenv("CONTRAPOSE_CACHE", str(tmp_path / "cache"))
    return trees(tmp_path)


def test_a_tables_samples_come_by_column(parts: Parts) -> None:
    samples = Samples(parts.splits["train"], "tabular", parts.modalities["tabular"])
    assert not hasattr(Samples(parts.splits["train"], "tabular"), "batches")
    single = [*samples]
    data, meta = zip(*samples.batches(), strict=True)
    rows = parts.modalities["tabular"].collate([s.data["tabular"] for s in single])
    same({part: torch.cat([d[part] for d in data]) for part in rows}, rows)
    assert len(single) == len(parts.splits["train"]) - 1, "a row without any cell has no such modality"
    assert np.concatenate([m["label"] for m in meta]).tolist() == [s.meta["label"] for s in single]


@pytest.mark.parametrize("view", [Scarf(), Subset(0, 2), Conditional()])
def test_a_view_learns_the_same_by_column(parts: Parts, view: Any) -> None:
    samples = Samples(parts.splits["train"], "tabular", parts.modalities["tabular"])
    other = copy.deepcopy(view)
    view.fit(samples)
    other.fit([*samples])
    a, b = view.state_dict(), other.state_dict()
    for part in ("numeric", "categories"):
        assert a[part].keys() == b[part].keys()
        for name, value in a[part].items():
            np.testing.assert_array_equal(value, b[part][name])


def test_a_row_that_cant_be_read_is_left_out_either_way(parts: Parts) -> None:
    """By a schema of other data, by which most heights are beyond float32."""
    train, modality = parts.splits["train"], parts.modalities["tabular"]
    height, *others = modality.schema.columns
    modality.schema = Schema((replace(height, mean=0.0, std=1e-40), *others))
    samples = Samples(train, "tabular", modality)
    single = [*samples]
    ((data, meta),) = samples.batches()
    assert 10 < len(single) < len(train) / 2
    same(data, modality.collate([s.data["tabular"] for s in single]))
    assert meta["label"].tolist() == [s.meta["label"] for s in single]


@pytest.mark.parametrize("values", [np.arange(40.0) % 37, np.arange(40.0) % 3])
def test_marginals_in_the_least_memory_draw_the_same(values: Any) -> None:
    table = np.stack([values, np.where(np.arange(40) % 4 == 0, np.nan, values[::-1])], 1).astype(np.float32)
    least, counted = Marginals.least([table[:7], table[7:]]), Marginals.of(table)
    assert (len(least.counts) == 0) == (len(counted.values) > 20)
    tickets = np.random.default_rng(0).integers(40, size=(300, 2))
    np.testing.assert_array_equal(least.draw(tickets), counted.draw(tickets))
    for made in (least, Marginals.from_state(least.state_dict())):
        drawn = made.draw_batched(torch.from_numpy(tickets))
        np.testing.assert_array_equal(drawn.numpy(), counted.draw(tickets))
