"""Several datasets as one: ids, meta and labels that agree, what each lacks, splits, what is fitted, and what can't be had."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from tests.core.test_loader import Pulse

from contrapose.config import Config
from contrapose.data import open_reader, read_bytes, split
from contrapose.data.failure import one_line
from contrapose.engine.components import fit_modality
from contrapose.engine.folder import resolved
from contrapose.errors import ConfigError, ContraposeWarning, DataError
from contrapose.types import Sample


class Note(Pulse):
    """Text, or a file of it; it is fitted on what it reads."""

    name, extensions = "note", (".note",)

    def load(self, cells, root):
        cell = next(iter(cells.values()))
        text = read_bytes(cell, root).decode() if str(cell).endswith(".note") else str(cell)
        if text == "broken":
            raise ValueError("no note")
        return text

    def fit(self, cells, root):
        self.seen = [(dict(c), self.load(c, root)) for c in cells]


class Grid(Pulse):
    """Numbers of several columns, by their names."""

    name = "grid"

    def load(self, cells, root):
        return dict(cells)


MODALITIES = {"note": Note(), "grid": Grid()}
COLUMNS = {"note": "text", "grid": ["w", "h"]}


@pytest.fixture
def place(tmp_path, monkeypatch):
    """``chairs/`` with notes in files and a grid; ``bricks/`` with notes in the table and a grid under other names."""
    monkeypatch.setenv("CONTRAPOSE_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    chairs = [{"text": f"{i}.note", "w": i, "h": 2 * i, "kind": "bc"[i % 2], "t": i, "part": "train"} for i in range(6)]
    bricks = [{"words": f"brick {i}", "wide": i, "high": -i, "family": "ab"[i % 2], "t": i / 2} for i in range(4)]
    bricks[1]["words"] = "broken"
    bricks[2]["family"] = bricks[2]["t"] = None
    for name, rows in {"chairs": chairs, "bricks": bricks}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    for i in range(6):
        (tmp_path / "chairs" / f"{i}.note").write_text(f"chair {i}")
    return tmp_path


BRICKS = {"data": "bricks/rows.jsonl", "modalities": {"note": "words", "grid": ["wide", "high"]}}
BOTH = {"chairs": "chairs/rows.jsonl", "bricks": BRICKS | {"meta": {"label": "family"}}}
META = {"label": "kind", "time": "t"}


def several(of=BOTH, columns=COLUMNS, meta=META, **options):
    return open_reader({"use": "several", "of": of}, MODALITIES, columns, meta, **options)


def test_ids_count_through_and_samples_have_what_their_dataset_has(place):
    reader = several(
        {"chairs": "chairs/rows.jsonl", "bricks": {"data": "bricks/rows.jsonl", "modalities": {"note": "words"}}}
    )
    assert len(reader) == 10
    assert reader.ids.tolist() == list(range(10))
    assert [reader[i].id for i in range(10)] == list(range(10))
    assert reader[0].data == {"note": "chair 0", "grid": {"w": 0, "h": 0}}
    assert reader[6].data == {"note": "brick 0"}
    assert reader.columns == {"note": ("text",), "grid": ("w", "h")}
    with pytest.raises(IndexError):
        reader[10]


def test_a_datasets_own_columns_reach_the_modality_under_the_runs_names(place):
    reader = several()
    assert reader[9].data == {"note": "brick 3", "grid": {"w": 3, "h": -3}}
    assert list(reader.cells("grid"))[-1] == {"w": 3, "h": -3}
    again = pickle.loads(pickle.dumps(reader))
    assert [again[i] for i in (0, 9)] == [reader[i] for i in (0, 9)]


def test_words_have_one_code_and_blanks_are_blank(place):
    reader = several(meta={**META, "part": "part"})
    assert reader.vocabularies == {"label": ["a", "b", "c"], "part": ["train"], "dataset": ["chairs", "bricks"]}
    assert reader.column("label").tolist() == [1, 2, 1, 2, 1, 2, 0, 1, -1, 1]
    assert {name: kind.kind for name, kind in reader.meta.items()} == {
        "label": "i",
        "time": "f",
        "part": "i",
        "dataset": "i",
    }
    assert reader.column("dataset").tolist() == [0] * 6 + [1] * 4
    assert reader.column("part").tolist() == [0] * 6 + [-1] * 4
    assert np.isnan(reader.column("time")[8])
    assert reader.column("time")[[5, 9]].tolist() == [5.0, 1.5]
    for i in range(10):
        for name in reader.meta:
            np.testing.assert_equal(reader[i].meta[name], reader.column(name)[i])
    assert reader.words("label") == [*"bcbcbc", "a", "b", None, "b"]
    assert reader.words("dataset")[5:7] == ["chairs", "bricks"]
    assert reader.words("h")[:3] == ["0", "2", "4"]
    assert reader.words("h")[6:] == [None] * 4
    part = reader.subset([9, 0, 8])
    assert part.words("label") == ["b", "b", None]
    assert part.ids.tolist() == [9, 0, 8]
    saved = several(vocabularies={"label": ["c", "z"]})
    assert saved.vocabularies["label"] == ["c", "z", "a", "b"]
    assert saved.words("label") == several().words("label")


def test_a_column_without_a_value_is_of_any_kind(place):
    for name, value in {"words": pa.string(), "numbers": pa.int64()}.items():
        pq.write_table(pa.table({"text": ["a"], "kind": pa.array([None], value)}), place / f"{name}.parquet")
    sets = {"chairs": "chairs/rows.jsonl", "words": "words.parquet", "numbers": "numbers.parquet"}
    assert several(sets, meta={"label": "kind"}).words("label") == [*"bcbcbc", None, None]
    assert np.isnan(several(sets | {"bricks": BRICKS}, meta={"time": "kind"} | {"t": "t"}).column("t")[6])


def test_datasets_split_together_or_each_by_its_own(place):
    with_groups = {"by": "label", "test": 0.4}
    parts = split(several(), with_groups)
    train, test = (set(parts[name].words("label")) - {None} for name in ("train", "test"))
    assert not train & test
    assert train | test == set("abc")
    own = {**BOTH, "chairs": {"data": "chairs/rows.jsonl", "split": {"column": "part"}}}
    parts = split(several(own), {"test": 0.5})
    assert parts["test"].ids.min() >= 6
    assert len(parts["test"]) == 2
    assert len(parts["train"]) == 8
    parts = split(several({**own, "bricks": {**BRICKS, "split": "none"}}), {"test": 0.5})
    assert {name: len(part) for name, part in parts.items()} == {"train": 10}
    with pytest.raises(
        DataError, match=r"4 of 10 samples have no value in .* a dataset that lacks it needs a split of its"
    ):
        split(several(), {"column": "part"})
    with pytest.raises(ConfigError, match="no column 'prat'; did you mean 'part'") as error:
        split(several({**own, "chairs": {"data": "chairs/rows.jsonl", "split": {"column": "prat"}}}), None)
    assert error.value.path == ("data", "of", "chairs", "split", "column")


def test_what_is_fitted_is_fitted_on_all_training_data_whatever_their_folders(place):
    own = {**BOTH, "chairs": {"data": "chairs/rows.jsonl", "split": {"column": "part"}}}
    parts = split(several(own), {"by": "t", "test": 0.5, "seed": 1})
    train, note = parts["train"], Note()
    with pytest.raises(ValueError, match="no note"):  # this modality gives up; others pass over what they can't read
        note.fit(several().cells("note"), Path())
    fit_modality(note, train.subset([i for i in range(len(train)) if train.ids[i] != 7]))
    assert [text for _, text in note.seen][:6] == [f"chair {i}" for i in range(6)]
    assert all(cells.keys() == {"text"} for cells, _ in note.seen)
    assert pickle.loads(pickle.dumps(note.seen[0][0]["text"])).root == Path("chairs")
    assert {text for _, text in note.seen[6:]} == {f"brick {i - 6}" for i in train.ids.tolist() if i > 7 or i == 6}


def test_what_cannot_be_read_names_its_dataset(place):
    (place / "chairs" / "2.note").unlink()
    reader = several()
    for i, why in [(2, f"chairs: {Path('chairs')}/2.note: no such file"), (7, "bricks: ValueError: no note")]:
        sample, ((modality, error),) = reader.read(i)
        assert modality == "note"
        assert one_line(error) == why
        assert sample.data.keys() == {"grid"} == reader[i].data.keys()
        assert reader.only("grid").read(i)[1] == []


def test_files_stay_under_the_folder_of_their_own_dataset(place):
    (place / "bricks" / "far.jsonl").write_text(json.dumps({"text": "../chairs/0.note"}))
    reader = several({"chairs": "chairs/rows.jsonl", "far": "bricks/far.jsonl"}, meta={})
    ((_, error),) = reader.read(6)[1]
    assert "paths must stay under the data's folder, bricks" in str(error)
    *_, cells = reader.cells("note")
    with pytest.raises(DataError, match="must stay under the data's folder, bricks"):
        read_bytes(cells["text"], place)


def test_any_reader_is_one_of_them(place):
    class Mine:
        def __len__(self):
            return 3

        def __getitem__(self, i):
            if i >= 3:
                raise IndexError
            return Sample(i, {"note": f"mine {i}"}, {"label": i, "other": 1})

    with pytest.raises(
        ConfigError, match=r"meta.label is words in chairs and numbers in mine: make it the same in both"
    ):
        several({"chairs": "chairs/rows.jsonl", "mine": Mine()})
    reader = several({"chairs": "chairs/rows.jsonl", "mine": Mine()}, meta={"time": "t"})
    assert reader[8] == Sample(8, {"note": "mine 2"}, {"time": -1, "dataset": 1})
    assert reader.only("grid")[8].data == {}
    with pytest.raises(ConfigError, match=r"Mine has no cells\(\) to fit note on"):
        reader.cells("note")
    folder = several({"files": "chairs", "bricks": BRICKS}, columns={"note": None, "grid": ["w", "h"]}, meta=None)
    assert [sorted(folder[i].data) for i in (0, 6)] == [["note"], ["grid", "note"]]
    named = several({"it": {"use": "manifest", "path": "rows.jsonl"}}, base=place / "chairs")
    assert len(named) == 6


@pytest.mark.parametrize(
    ("of", "columns", "meta", "why", "path"),
    [
        ({}, COLUMNS, META, "name the datasets", ("of",)),
        (BOTH, {**COLUMNS, "note": "txt"}, {}, None, None),
        (BOTH, COLUMNS, {"kind": "kid"}, "none of the datasets has the column of meta.kind", ("of",)),
        (BOTH, COLUMNS, {"dataset": "kind"}, "meta.dataset is the number of a sample's dataset here", ("of",)),
        ({"a": {"data": "chairs/rows.jsonl", "modality": {}}}, COLUMNS, META, "unknown key 'modality'", ("of", "a", "modality")),
        ({"a": {"split": "none"}}, COLUMNS, META, "is missing", ("of", "a", "data")),
        (
            {"a": {"data": "chairs/rows.jsonl", "modalities": {"not": "text"}}},
            COLUMNS,
            META,
            "none of the run's modalities; did you mean 'note'",
            ("of", "a", "modalities", "not"),
        ),
        (
            {"a": {"data": "chairs/rows.jsonl", "modalities": {"note": "txt"}}},
            COLUMNS,
            META,
            "the data have no column 'txt'; did you mean 'text'",
            ("of", "a", "modalities", "note"),
        ),
        (
            {"a": {"data": "chairs/rows.jsonl", "meta": {"label": "kid"}}},
            COLUMNS,
            META,
            "the data have no column 'kid'; did you mean 'kind'",
            ("of", "a", "meta", "label"),
        ),
        ({"b": "bricks/rows.jsonl"}, COLUMNS, META, "it has none of the run's modalities: the data have no", ("of", "b")),
        ({"a": "chairs/rows.jsonl"}, {**COLUMNS, "note": "txt"}, {}, "none of the datasets has a column for note: 'txt'", ("of",)),
        (
            {"s": {"use": "webdataset", "path": "x.tar.gz", "streaming": True}},
            COLUMNS,
            META,
            "a stream can't be one of several datasets; write it down by contrapose pack",
            ("of", "s"),
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_is_told_with_its_place(place, of, columns, meta, why, path):
    if why is None:
        assert several(of, columns, meta)[0].data.keys() == {"grid"}  # chairs lack it; bricks have their own
        return
    with pytest.raises(ConfigError, match=why) as error:
        several(of, columns, meta)
    assert error.value.path == ("data", *path)
    assert "\n" not in str(error.value)


def test_a_dataset_that_has_some_of_a_modalitys_columns_is_told(place):
    rows = [{"text": "a", "w": 1}]
    (place / "half.jsonl").write_text("\n".join(map(json.dumps, rows)))
    with pytest.warns(ContraposeWarning, match="half has w alone of the columns of grid, which is left out"):
        reader = several({"chairs": "chairs/rows.jsonl", "half": "half.jsonl"})
    assert reader[6].data == {"note": "a"}


def test_a_missing_dataset_is_told(place):
    with pytest.raises(DataError, match=r"gone\.csv"):
        several({"chairs": "chairs/rows.jsonl", "gone": "gone.csv"})


def test_a_run_keeps_paths_that_hold_from_any_folder(place, monkeypatch):
    config = Config.of({"data": {"use": "several", "of": BOTH}, "modalities": {}, "encoders": {}})
    said = resolved(config)["data"]["of"]
    assert said["chairs"] == str(place / "chairs/rows.jsonl")
    assert said["bricks"]["data"] == str(place / "bricks/rows.jsonl")
    assert said["bricks"]["modalities"] == {"note": "words", "grid": ["wide", "high"]}


def test_fingerprints_tell_columns_and_parts_apart(place):
    reader = several()
    made = [reader, reader.subset(range(9)), several(meta={"label": "kind"}), several({"chairs": BOTH["chairs"]})]
    assert len({r.fingerprint() for r in made}) == 4
    assert several().fingerprint() == reader.fingerprint()
    assert torch.is_tensor(Pulse().collate([[1.0]]))


def test_cells_come_by_column_too_under_the_runs_names_and_with_their_own_types(place):
    reader = several().subset([8, 1, 3, 6])
    cells = reader.cells("grid")
    batches = list(cells.batches())
    assert [batch.schema.names for batch in batches] == [["w", "h"]] * 2
    assert sorted(map(str, (row for batch in batches for row in batch.to_pylist()))) == sorted(map(str, cells))
    (place / "floats.jsonl").write_text('{"w": 0.5, "h": "tall"}\n')
    mixed = several({"chairs": "chairs/rows.jsonl", "floats": "floats.jsonl"}, {"grid": ["w", "h"]}, {})
    *_, last = mixed.cells("grid").batches()
    assert last.to_pylist() == [{"w": 0.5, "h": "tall"}]
    assert next(iter(several().cells("note").batches())).schema.names == ["text"]


def test_where_a_dataset_has_its_cells_row_by_row_alone_all_do(place):
    class Mine(type(several().parts[0])):
        def cells(self, modality):
            return [{"w": 1, "h": 2}]

    reader = several()
    reader.parts[1].__class__ = Mine
    assert not hasattr(reader.cells("grid"), "batches")
    assert len(list(reader.cells("grid"))) == 7
