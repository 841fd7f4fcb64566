"""Splits: by column, and by groups that never part."""

import json
from collections import Counter

import numpy as np
import pytest
import torch

from contrapose.data import ManifestReader, split
from contrapose.errors import ConfigError, DataError


class Number:
    name = "number"
    dtype = torch.float32

    def load(self, cells, root):
        return cells

    def collate(self, items):
        return items

    def preview(self, data):
        return {}


@pytest.fixture
def read(tmp_path, monkeypatch):
    monkeypatch.setenv("CONTRAPOSE_CACHE", str(tmp_path / "cache"))

    def read(rows, meta=None):
        path = tmp_path / "m.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return ManifestReader(path, {"number": Number()}, {"number": "x"}, meta)

    return read


def grouped(count, groups=90, seed=0):
    drawn = np.random.default_rng(seed).integers(0, groups, count).tolist()
    return [{"x": i, "shelf": f"s{g}"} for i, g in enumerate(drawn)]


def test_by_column(read):
    reader = read([{"x": i, "part": p} for i, p in enumerate(["train", "odd", "train", "test"])])
    assert {n: p.ids.tolist() for n, p in split(reader, {"column": "part"}).items()} == {
        "odd": [1],
        "test": [3],
        "train": [0, 2],
    }


@pytest.mark.parametrize("meta", [None, {"group": "shelf"}])
def test_groups_never_part_and_fractions_hold(read, meta):
    rows = grouped(2000)
    parts = split(read(rows, meta), {"by": "group" if meta else "shelf", "test": 0.2, "val": 0.1, "seed": 3})
    assert sum(len(p) for p in parts.values()) == 2000
    sides = [{rows[i]["shelf"] for i in p.ids} for p in parts.values()]
    assert sum(map(len, sides)) == len(set.union(*sides)) == 90
    assert abs(len(parts["test"]) - 400) < 45
    assert abs(len(parts["val"]) - 200) < 45


def test_the_same_whatever_the_order_and_codes_and_another_by_seed(read):
    rows = grouped(500)
    spec = {"by": "shelf", "test": 0.2, "seed": 0}
    test = {rows[i]["x"] for i in split(read(rows), spec)["test"].ids}
    mixed = rows[::-1]
    assert {mixed[i]["x"] for i in split(read(mixed), spec)["test"].ids} == test
    assert {rows[i]["x"] for i in split(read(rows), {**spec, "seed": 1})["test"].ids} != test


def test_more_data_move_few_samples(read):
    rows = grouped(1000)
    spec = {"by": "shelf", "test": 0.2}
    before = set(split(read(rows), spec)["test"].ids.tolist())
    grown = split(read([*rows, *({"x": 0, "shelf": f"new{i}"} for i in range(20))]), spec)
    after = {i for i in grown["test"].ids.tolist() if i < 1000}
    assert len(before ^ after) < 60


def test_without_a_group_each_sample_goes_alone(read):
    rows = [{"x": i, "shelf": "same" if i < 50 else None} for i in range(150)]
    parts = split(read(rows), {"by": "shelf", "test": 0.4})
    sides = Counter(name for name, p in parts.items() for i in p.ids if i < 50)
    assert len(sides) == 1
    assert 30 <= len(parts["test"]) <= 90
    assert len(split(read(rows), {"test": 0.2})["test"]) == 30


def test_none_is_all_train(read):
    reader = read(grouped(3))
    assert split(reader, None) == {"train": reader} == split(reader, "none")


@pytest.mark.parametrize(
    ("spec", "message", "path"),
    [
        ({"column": "shelv"}, "did you mean 'shelf'", ("split", "column")),
        ({"column": "shelf"}, "no sample is 'train' in 'shelf'; there is s", ("split", "column")),
        ({"by": "grup", "test": 0.2}, "no column 'grup'", ("split", "by")),
        ({"by": "shelf", "test": 2}, "a fraction between 0 and 1, not 2", ("split", "test")),
        ({"by": "shelf", "test": 0.6, "val": 0.5}, "leave some of 1 for train", ("split",)),
        ({"by": "shelf"}, "give parts, say test: 0.2", ("split",)),
        ({"by": "shelf", "test": 0.0001}, "no group fell to 'test'", ("split", "test")),
        ("half", "write {column: c}", ("split",)),
    ],
)
def test_errors_have_their_path(read, spec, message, path):
    with pytest.raises(ConfigError, match=message) as error:
        split(read(grouped(100)), spec)
    assert error.value.path == path


def test_rows_without_a_part_and_readers_without_subsets(read):
    reader = read([{"x": 0, "part": "train"}, {"x": 1, "part": None}])
    with pytest.raises(DataError, match="1 of 2 samples have no value in the split's column 'part'"):
        split(reader, {"column": "part"})
    with pytest.raises(ConfigError, match="list can't be split"):
        split([1], {"test": 0.5})
