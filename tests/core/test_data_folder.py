"""Folders of files joined by their stem."""

import pickle

import numpy as np
import pytest
import torch

from contrapose.data import FolderReader, open_reader, read_bytes, split
from contrapose.errors import ConfigError, DataError


class Pulse:
    name = "pulse"
    dtype = torch.float32
    extensions: tuple[str, ...] = (".pulse",)

    def load(self, cells, root):
        (cell,) = cells.values()
        return np.array(read_bytes(cell, root).split(), dtype=float)

    def collate(self, items):
        return torch.stack([torch.from_numpy(i) for i in items])

    def preview(self, data):
        return {"text/plain": str(data)}


class Echo(Pulse):
    name = "echo"
    extensions = (".echo", ".eco")


class Mute(Pulse):
    extensions = ()


MODALITIES = {"pulse": Pulse(), "echo": Echo(), "mute": Mute(), "twin": Pulse()}


def write(root, *names):
    for i, name in enumerate(names):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{i} {i}")


def facts(reader):
    return [(s.id, {m: d[0] for m, d in s.data.items()}) for s in reader]


def test_files_of_one_stem_are_one_sample(tmp_path):
    write(tmp_path, "b.pulse", "b.ECO", "a.echo", "c.pulse", "notes.txt", ".hidden.pulse")
    reader = open_reader(tmp_path, MODALITIES, {"pulse": None, "echo": "."})
    assert facts(reader) == [(0, {"echo": 2}), (1, {"pulse": 0, "echo": 1}), (2, {"pulse": 3})]
    assert isinstance(reader, FolderReader)
    assert facts(pickle.loads(pickle.dumps(reader))) == facts(reader)


def test_each_modality_in_its_subfolder(tmp_path):
    write(tmp_path, "waves/x.pulse", "deep/echoes/x.echo", "waves/in/y.pulse", "deep/echoes/in/y.echo", "x.echo")
    reader = FolderReader(tmp_path, MODALITIES, {"pulse": "waves", "echo": "./deep/echoes"})
    assert facts(reader) == [(0, {"pulse": 2, "echo": 3}), (1, {"pulse": 0, "echo": 1})]
    assert reader.words("path") == ["in/y", "x"]


def test_class_folders_give_labels_and_top_folders_splits(tmp_path):
    write(tmp_path, *(f"{part}/{kind}/{i}.pulse" for part in ("train", "test") for kind in ("ox", "ant") for i in "01"))
    reader = FolderReader(tmp_path, MODALITIES, {"pulse": None}, {"label": "folder"})
    assert reader.vocabularies == {"label": ["ant", "ox"]}
    parts = split(reader, {"column": "top"})
    assert {name: part.ids.tolist() for name, part in parts.items()} == {"test": [0, 1, 2, 3], "train": [4, 5, 6, 7]}
    assert [s.meta["label"] for s in parts["train"]] == [0, 0, 1, 1]


def test_a_new_file_changes_the_fingerprint(tmp_path):
    write(tmp_path, "a.pulse")
    before = FolderReader(tmp_path, MODALITIES, {"pulse": None}).fingerprint()
    assert before == FolderReader(tmp_path, MODALITIES, {"pulse": None}).fingerprint()
    write(tmp_path, "a.pulse", "b.pulse")
    assert before != FolderReader(tmp_path, MODALITIES, {"pulse": None}).fingerprint()


def test_errors_say_what_to_do(tmp_path):
    write(tmp_path, "waves/a.pulse", "a.eco", "a.echo")
    with pytest.raises(ConfigError, match="did you mean 'waves'") as error:
        FolderReader(tmp_path, MODALITIES, {"pulse": "wave"})
    assert error.value.path == ("modalities", "pulse")
    with pytest.raises(ConfigError, match="names no file extensions; write a manifest"):
        FolderReader(tmp_path, MODALITIES, {"mute": None})
    with pytest.raises(ConfigError, match=r"\.pulse could be pulse or twin; give each its subfolder"):
        FolderReader(tmp_path, MODALITIES, {"pulse": None, "twin": None})
    with pytest.raises(DataError, match=r"a\.ech?o and a\.ech?o are one modality of one thing"):
        FolderReader(tmp_path, MODALITIES, {"echo": None})
    with pytest.raises(DataError, match="must stay under"):
        FolderReader(tmp_path / "waves", MODALITIES, {"echo": "../"})
    (tmp_path / "bare").mkdir()
    with pytest.raises(DataError, match=r"no file ends in \.echo, \.eco, \.pulse"):
        FolderReader(tmp_path / "bare", MODALITIES, {"echo": None, "pulse": None})
