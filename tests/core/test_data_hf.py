"""Datasets of Hugging Face's package, from local files: the same samples, exactly in any order."""

import pickle
import sys

import numpy as np
import pytest
from tests.core.test_data_packed import Pulse
from tests.core.test_loader import epochs

from contrapose.data import open_reader, split
from contrapose.data.pack import pack
from contrapose.errors import ConfigError, DataError, PluginError
from contrapose.types import View

MODALITIES = {"pulse": Pulse()}


def opened(path, meta=None, **arguments):
    return open_reader({"use": "hf", "path": str(path), **arguments}, MODALITIES, {"pulse": "x"}, meta)


@pytest.fixture
def saved(tmp_path, monkeypatch):
    """A folder that save_to_disk wrote, and one of Parquet files, of 9 and 2 rows, files and labels in them."""
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    datasets = pytest.importorskip("datasets", reason="datasets isn't installed: pip install contrapose[hf]")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    datasets.disable_progress_bars()
    features = datasets.Features(
        {
            "x": {"bytes": datasets.Value("binary"), "path": datasets.Value("string")},
            "room": datasets.ClassLabel(names=["b", "a"]),
        }
    )
    rows = {
        "x": [{"bytes": f"{i} 1".encode(), "path": f"{i}.pulse"} for i in range(12)],
        "room": [i % 2 for i in range(12)],
    }
    made = datasets.Dataset.from_dict(rows, features=features)
    parts = {"train": made.select(range(9)), "test": made.select([9, 11])}
    datasets.DatasetDict(parts).save_to_disk(str(tmp_path / "saved"))
    (tmp_path / "parquet").mkdir()
    for name, part in parts.items():
        part.to_parquet(tmp_path / f"parquet/{name}-00000-of-00001.parquet")
    return tmp_path


@pytest.mark.parametrize("form", ["saved", "parquet"])
def test_a_dataset_gives_its_rows_files_and_labels(saved, form):
    reader = opened(saved / form, {"label": "room"}, split="train")
    assert [s.data["pulse"].tolist() for s in reader] == [[i, 1] for i in range(9)]
    assert (reader.column("label").tolist(), reader.vocabularies) == ([i % 2 for i in range(9)], {"label": ["b", "a"]})
    assert reader.words("label")[:2] == ["b", "a"]
    assert reader.cell("x", 3).name == "3.pulse"
    whole = opened(saved / form, split="all")
    parts = split(whole, {"column": "split"})
    assert {name: [s.data["pulse"][0] for s in part] for name, part in parts.items()} == {
        "train": [*range(9)],
        "test": [9, 11],
    }
    again = pickle.loads(pickle.dumps(whole))
    assert again[10].data["pulse"].tolist() == [11, 1]
    assert len(pickle.dumps(whole)) < 3000
    with pytest.raises(ConfigError, match=r"has the splits .*; name one") as error:
        opened(saved / form)
    assert error.value.path == ("data", "split")
    with pytest.raises(ConfigError, match="has no split 'tset'"):
        opened(saved / form, split="tset")


def test_a_resume_is_exact_and_a_dataset_can_be_packed(saved):
    from contrapose.data import make_loader

    class Plain:
        def __init__(self):
            self.names = {"pulse/0": "pulse"}

        def __call__(self, sample, epoch):
            return [
                View("pulse/0", "pulse", sample.data["pulse"] + np.random.default_rng((epoch, sample.id)).random(2))
            ], []

    reader = opened(saved / "parquet/train-00000-of-00001.parquet", {"label": "room"})
    whole = epochs(make_loader(reader, Plain(), MODALITIES, 2), 1)
    assert epochs(make_loader(reader, Plain(), MODALITIES, 2, workers=1), 1, start=2) == whole[2:]
    pack(reader, MODALITIES, saved / "packed")
    packed = open_reader(saved / "packed", MODALITIES, {"pulse": "x"}, {"label": "room"})
    assert epochs(make_loader(packed, Plain(), MODALITIES, 2), 1) == whole


def test_what_cannot_be_read_is_one_line(saved):
    (saved / "broken.parquet").write_text("nonsense")
    (saved / "x.what").write_text("a")
    no = "datasets can't read it"
    for path, why in [("broken.parquet", no), ("gone/there", no), ("x.what", "ends in .parquet")]:
        with pytest.raises(DataError, match=why) as error:
            opened(saved / path)
        assert "\n" not in str(error.value)


def test_a_missing_package_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(PluginError, match=r"pip install contrapose\[hf\]"):
        opened(tmp_path)
