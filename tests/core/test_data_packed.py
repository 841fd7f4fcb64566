"""Packed datasets and tar shards: the same samples as the files they were made of, in any order and from any place on."""

import io
import json
import pickle
import tarfile
from pathlib import Path, PurePath

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.core.test_loader import epochs

from contrapose.data import FolderReader, ManifestReader, PackedReader, TarReader, make_loader, open_reader, read_bytes
from contrapose.data.cells import NamedBytes, cell_path
from contrapose.data.pack import _Rows, pack
from contrapose.errors import ConfigError, ContraposeWarning, DataError
from contrapose.types import View


class Pulse:
    """An invented modality: a file of numbers, or such bytes; a cell without a suffix of its own is told by its name."""

    name = "pulse"
    dtype = torch.float64
    extensions = (".pulse", ".beat", ".dat")

    def load(self, cells, root):
        (cell,) = cells.values()
        try:
            return np.array(read_bytes(cell, root).split(), dtype=float)
        except ValueError as error:
            raise DataError(f"{getattr(cell, 'name', cell)}: {error}") from error

    def collate(self, items):
        return torch.stack([torch.from_numpy(i) for i in items])


class Note(Pulse):
    """Words in a cell, or in a file that ends in .note."""

    name = "note"
    extensions = (".note",)

    def load(self, cells, root):
        cell = next(iter(cells.values()))
        data = read_bytes(cell, root) if isinstance(cell, bytes) or cell.endswith(".note") else cell.encode()
        return np.frombuffer(data.ljust(20)[:20], np.uint8).astype(float)


class Drawn:
    """Views that depend on what was drawn for (epoch, sample)."""

    def __init__(self):
        self.names = {"pulse/0": "pulse", "note/0": "note"}

    def __call__(self, sample, epoch):
        rng = np.random.default_rng((epoch, sample.id))
        return [View(f"{m}/0", m, d + rng.normal(size=d.shape)) for m, d in sample.data.items()], []


MODALITIES = {"pulse": Pulse(), "note": Note()}
COLUMNS = {"pulse": "file", "note": "said"}
META = {"label": "kind", "time": "t", "file": "file"}
N = 41


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CONTRAPOSE_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def manifest(tmp_path):
    """41 rows: files, of which one is broken and one is gone, some blank; words, some in files; labels and times."""
    folder = tmp_path / "data"
    (folder / "files").mkdir(parents=True)
    rows = []
    for i in range(N):
        (folder / f"files/{i}.pulse").write_text(f"{i} {i / 3} 1e-9" if i != 5 else "no number")
        (folder / f"files/{i}.note").write_text(f"note {i}")
        said = f"files/{i}.note" if i % 4 == 1 else f"words of {i}. And/or none"
        rows.append(
            {
                "file": f"files/{i}.pulse",
                "said": said,
                "kind": "abc"[i % 3],
                "t": i / 7,
                "raw": [i, 2 * i],
                "none": None,
            }
        )
    rows[7]["file"] = rows[8]["said"] = rows[9]["kind"] = None
    rows[11]["file"] = "files/gone.pulse"
    pq.write_table(pa.Table.from_pylist(rows), folder / "m.parquet")
    return folder / "m.parquet"


def opened(path, **options):
    return open_reader(path, MODALITIES, COLUMNS, META, **options)


def packed(manifest, shard_bytes=400):
    folder = manifest.parent.parent / "packed"
    return folder, pack(opened(manifest), MODALITIES, folder, shard_bytes)


def loaded(reader, **options):
    return make_loader(reader, Drawn(), MODALITIES, 8, **options)


def samples(reader):
    out = []
    for i in range(len(reader)):
        sample, failed = reader.read(i)
        data = {m: d.tobytes() for m, d in sample.data.items()}
        out.append((sample.id, data, repr(sample.meta), [(m, str(e).rpartition("/")[2]) for m, e in failed]))
    return out


def test_packed_is_the_original_without_its_files(manifest):
    before = opened(manifest)
    folder, done = packed(manifest)
    assert (done.rows, done.shards > 3) == (N, True)
    assert len(list(folder.glob("*.arrow"))) == done.shards
    assert len(done.missing) == 1
    assert done.missing[0].startswith("row 11, file: ")
    assert done.missing[0].endswith("files/gone.pulse: no such file")
    wanted, batches = samples(before), epochs(loaded(before), 0, 1)
    for file in manifest.parent.glob("files/*"):
        file.unlink()
    after = opened(folder)
    assert isinstance(after, PackedReader)
    assert samples(after) == wanted
    assert wanted[5][3] == [("pulse", "5.pulse: could not convert string to float: b'no'")]
    assert isinstance(after.cell("file", 0), NamedBytes)
    assert after.cell("said", 0) == "words of 0. And/or none"
    assert after.table.column("raw").to_pylist() == before.table.column("raw").to_pylist()
    assert after.column_names == before.column_names
    assert (after.vocabularies, after.words("file")) == (before.vocabularies, before.words("file"))
    again = epochs(loaded(after), 0, 1)
    assert [b[:3] for b in again] == [b[:3] for b in batches]
    assert [len(b[3]) for b in again] == [len(b[3]) for b in batches]


def test_packing_twice_gives_the_same_and_needs_a_free_folder(manifest, tmp_path):
    folder, _ = packed(manifest)
    with pytest.raises(DataError, match="holds something already"):
        packed(manifest)
    pack(opened(folder), MODALITIES, tmp_path / "again", 400)
    assert samples(opened(tmp_path / "again")) == samples(opened(folder))
    pack(opened(manifest), MODALITIES, tmp_path / "third", 400)
    assert opened(tmp_path / "third").fingerprint() == opened(folder).fingerprint()


@pytest.mark.parametrize("window", [None, 16])
def test_ranks_workers_and_resume_change_nothing(manifest, window):
    folder, _ = packed(manifest)
    whole = epochs(loaded(opened(folder), window=window), 2)
    assert whole == epochs(loaded(opened(folder), window=window, workers=2), 2)
    assert whole[3:] == epochs(loaded(opened(folder), window=window, workers=1), 2, start=3)
    parts = [epochs(loaded(opened(folder), window=window, rank=r, world=3), 2, start=1) for r in range(3)]
    for k, batch in enumerate(whole[1:]):
        assert [i for part in parts for i in part[k][0]] == batch[0]
    assert len({i for batch in whole for i in batch[0]}) == sum(len(b[0]) for b in whole)


def test_a_packed_reader_pickles_small(manifest):
    folder, _ = packed(manifest)
    reader = opened(folder).subset([3, 1])
    data = pickle.dumps(reader)
    assert len(data) < 6000
    assert samples(pickle.loads(data)) == samples(reader)


def test_a_folder_of_files_is_packed_under_its_modalities_names(manifest, tmp_path):
    modalities = {"pulse": "files", "note": None}
    before = FolderReader(manifest.parent, MODALITIES, {"pulse": "files", "note": "files"}, {"label": "top"})
    pack(before, MODALITIES, tmp_path / "out", 1 << 20)
    after = open_reader(tmp_path / "out", MODALITIES, dict.fromkeys(modalities), {"label": "top"})
    assert samples(after) == samples(before)
    assert after.column_names == ["path", "folder", "top", "pulse", "note"]


def spoil_cut(folder):
    file = folder / "shard-00002.arrow"
    file.write_bytes(file.read_bytes()[:-100])
    return r"shard-00002.arrow: cut short, [\d,]+ bytes where pack.json says [\d,]+"


def spoil_gone(folder):
    (folder / "shard-00001.arrow").unlink()
    return "shard-00001.arrow: No such file"


def spoil_bytes(folder):
    file = folder / "shard-00000.arrow"
    file.write_bytes(bytes(file.stat().st_size))
    return "shard-00000.arrow: damaged"


def spoil_other(folder):
    index = json.loads((folder / "pack.json").read_text())
    index["source"] = "0" * 32
    (folder / "pack.json").write_text(json.dumps(index))
    return "shard-00000.arrow: not the shard that pack.json tells of"


def spoil_rows(folder):
    index = json.loads((folder / "pack.json").read_text())
    index["shards"][1]["rows"] += 1
    (folder / "pack.json").write_text(json.dumps(index))
    return "shard-00001.arrow: not the shard that pack.json tells of"


def spoil_index(folder):
    (folder / "pack.json").write_text("{}")
    return "pack.json: not the index of a packed dataset"


def spoil_version(folder):
    index = json.loads((folder / "pack.json").read_text())
    (folder / "pack.json").write_text(json.dumps({**index, "version": 99}))
    return "pack.json: of version 99"


def spoil_unfinished(folder):
    (folder / "pack.json").unlink()
    return "its packing was not finished"


SPOILERS = [v for k, v in list(globals().items()) if k.startswith("spoil_")]


@pytest.mark.parametrize("spoil", SPOILERS)
def test_shards_that_do_not_fit_the_index_are_one_line(manifest, spoil):
    folder, _ = packed(manifest)
    wanted = spoil(folder)
    with pytest.raises(DataError, match=wanted) as error:
        opened(folder)
    assert "\n" not in str(error.value)


def test_an_unfinished_packing_is_done_anew(manifest):
    folder, _ = packed(manifest)
    wanted = samples(opened(folder))
    spoil_unfinished(folder)
    (folder / "shard-00000.tar").write_text("a file of someone's own")
    with pytest.raises(DataError, match="holds something already"):
        packed(manifest, 900)
    assert (folder / "shard-00003.arrow").exists()
    (folder / "shard-00000.tar").unlink()
    packed(manifest, 900)
    assert samples(opened(folder)) == wanted


# tar shards


def write_tar(path, members):
    with tarfile.open(path, "w") as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def members(i):
    found = [(f"d/{i:03}.dat" if i % 2 else f"d/{i:03}.beat", f"{i} {i / 3} 1e-9".encode())]
    if i % 4 == 1:
        found.append((f"d/{i:03}.said.note", f"note {i}".encode()))
    found.append((f"d/{i:03}.json", json.dumps({"kind": "abc"[i % 3], "t": i / 7}).encode()))
    return [*found, (f"d/{i:03}.cls", str(i % 5).encode()), (f"d/._{i}.dat", b"hidden")]


@pytest.fixture
def shards(tmp_path):
    for s in range(3):
        write_tar(tmp_path / f"part-{s:02}.tar", [m for i in range(7 * s, 7 * s + 7) for m in members(i)])
    return str(tmp_path / "part-{00..02}.tar")


def tars(path, **columns):
    meta = {"label": "kind", "time": "t", "class": "cls"}
    return open_reader(path, MODALITIES, {"pulse": None, "note": None, **columns}, meta)


def test_tar_shards_give_their_samples_by_any_order(shards, tmp_path):
    reader = tars(shards)
    assert isinstance(reader, TarReader)
    assert (len(reader), reader.column("class").tolist()) == (21, [i % 5 for i in range(21)])
    assert reader.words("__key__") == [f"d/{i:03}" for i in range(21)]
    for i in (20, 0, 9):
        np.testing.assert_array_equal(reader[i].data["pulse"], [i, i / 3, 1e-9])
        assert ("note" in reader[i].data) == (i % 4 == 1)
        assert reader[i].meta["time"] == i / 7
    assert reader.words("label") == ["abc"[i % 3] for i in range(21)]
    assert samples(tars(str(tmp_path / "part-*.tar"))) == samples(reader)
    assert samples(open_reader("part-0{0,1,2}.tar", MODALITIES, {"pulse": None}, base=tmp_path))[3][1].keys() == {
        "pulse"
    }
    assert samples(pickle.loads(pickle.dumps(reader))) == samples(reader)
    only = tars(shards, pulse="dat")
    assert ["pulse" in only[i].data for i in range(4)] == [False, True, False, True]


def test_tar_shards_resume_and_part_as_manifests_do(shards):
    whole = epochs(loaded(tars(shards), drop_last=False), 1)
    assert whole[1:] == epochs(loaded(tars(shards), drop_last=False, workers=2), 1, start=1)
    parts = [epochs(loaded(tars(shards), drop_last=False, rank=r, world=2), 1) for r in range(2)]
    assert [i for k in range(3) for part in parts for i in part[k][0]] == [i for b in whole for i in b[0]]


def test_tar_shards_can_be_packed(shards, tmp_path):
    pack(tars(shards), MODALITIES, tmp_path / "packed", 1000)
    after = tars(tmp_path / "packed")
    assert samples(after) == samples(tars(shards))


def test_what_is_corrupt_in_a_tar_is_missing_and_listed(tmp_path):
    made = [m for i in range(8) for m in members(i)]
    made[0] = ("d/000.beat", b"one two")
    made[2] = (made[2][0], b"5 apples")  # a .cls
    path = write_tar(tmp_path / "x.tar", made)
    with pytest.warns(ContraposeWarning, match=r"1 files can't be parsed, .*: x.tar: d/000.cls"):
        reader = tars(path)
    assert reader.column("class").tolist() == [-1, 1, 2, 3, 4, 0, 1, 2]
    (batch,) = loaded(reader)
    assert batch.sample.tolist().count(0) == 0
    assert [(i, m) for i, m, _ in batch.skipped] == [(0, "pulse")]
    assert batch.skipped[0][2].startswith("d/000.beat: could not convert")


def test_tars_that_cannot_be_read_are_one_line(tmp_path):
    path = write_tar(tmp_path / "x.tar", [m for i in range(40) for m in members(i)])
    whole = path.read_bytes()
    for cut in (len(whole) - 20 * 512, 40 * 512, 40 * 512 + 100, 1):
        path.write_bytes(whole[:cut].rstrip(b"\0") if cut > 50 * 512 else whole[:cut])
        with pytest.raises(DataError, match=r"x\.tar: (cut short|can't be read as tar)") as error:
            tars(path)
        assert "\n" not in str(error.value)
    path.write_bytes(b"\x1f\x8b" + whole)
    with pytest.raises(DataError, match=r"x\.tar: compressed"):
        tars(path)
    with pytest.raises(DataError, match=r"y\.tar: d/1 has 'dat' twice"):
        tars(write_tar(tmp_path / "y.tar", [("d/1.dat", b"1"), ("d/1.dat", b"2")]))
    mixed = [("1.json", b'{"a": 1}'), ("2.json", b'{"a": "x"}')]
    with pytest.raises(DataError, match=r"z\.tar: its files don't agree on what 'a' is"):
        tars(write_tar(tmp_path / "z.tar", mixed))
    for said, why in [
        ("s3://b/x.tar", "local files alone"),
        ("pipe:cat x.tar", "local files"),
        ("q{0..2}.tar", "q0.tar: no such"),
    ]:
        with pytest.raises(DataError, match=why):
            tars(said)
    path.write_bytes(whole)
    with pytest.raises(ConfigError, match="no column 'datt'; did you mean 'dat'"):
        tars(path, pulse="datt")


def test_a_tar_that_changes_under_a_reader_loses_samples_alone(shards, tmp_path):
    reader = tars(shards)
    (tmp_path / "part-01.tar").write_bytes(b"")
    assert [str(e).rpartition("/")[2] for _, e in reader.read(7)[1]] == ["007.dat is cut short"]
    (tmp_path / "part-02.tar").unlink()
    assert "part-02.tar: No such file" in str(reader.read(14)[1][0][1])
    assert reader.read(0)[1] == []


def test_a_manifest_still_gives_files_with_names_from_structs(tmp_path):
    cells = [
        {"bytes": b"1 2", "path": "a.pulse"},
        {"bytes": None, "path": "b.pulse"},
        None,
        {"bytes": b"5", "path": None},
    ]
    pq.write_table(pa.table({"x": cells}), tmp_path / "m.parquet")
    (tmp_path / "b.pulse").write_text("3 4")
    reader = ManifestReader(tmp_path / "m.parquet", MODALITIES, {"pulse": "x"})
    assert [s.data["pulse"].tolist() if s.data else None for s in reader] == [[1, 2], [3, 4], None, [5]]
    assert reader.cell("x", 0).name == "a.pulse"
    assert pickle.loads(pickle.dumps(reader.cell("x", 0))).name == "a.pulse"


NAMES = ["files/1.note", "files/1.NOTE", "1.note", "no such.note", "files/1.note/", "files/1.note/.", "files/./1.note"]
NAMES += [
    "note",
    "a note. It ends.",
    "a.note of two words",
    "plain.txt",
    "files/plain.txt",
    "files/plain",
    "files/",
    "files",
]
NAMES += ["", ".", "..", ".note", "../data/files/1.note", "../data/plain.txt", "files/../plain.txt", "files/link.txt"]
NAMES += ["files/out.txt", "a\nb.note", "a\0b.note", "x" * 300 + ".txt", "x/" * 3000, "\udcff.txt", "İ.NOTE", "Σ.noteΣ"]
NAMES += ["a.note ", "/etc/hostname", "files\\plain", "plain.txt\t"]


def names_file(root, cell, extensions):
    """Said plainly: a cell names a file by a suffix of its modality's, or by being the path of one under the root."""
    if "\n" in cell or "\0" in cell:
        return False
    if PurePath(cell).suffix.lower() in extensions:
        return True
    try:
        return ("." in cell or "/" in cell) and cell_path(cell, root).is_file()
    except (DataError, OSError):
        return False


def rows_of(root):
    rows = object.__new__(_Rows)
    rows.root = root
    return rows


def test_which_cells_name_files(manifest):
    root = manifest.parent
    for name in ("plain.txt", "files/plain.txt", "files/plain"):
        (root / name).write_text("x")
    (root / "files/link.txt").symlink_to("plain.txt")
    (root.parent / "far.txt").write_text("x")
    (root / "files/out.txt").symlink_to(root.parent / "far.txt")
    rows = rows_of(root)
    for extensions in ((".note",), (".txt", ".note"), ("",), ()):
        found = {cell for cell in NAMES if rows._names_file(cell, extensions)}
        assert found == {cell for cell in NAMES if names_file(root, cell, extensions)}
    assert {"plain.txt", "files/plain.txt", "files/plain", "files/link.txt"} <= found
    assert not {"files/out.txt", "../data/plain.txt", "files/", "/etc/hostname"} & found


@given(cell=st.text("aA./Nn otex\\", max_size=10))
@settings(max_examples=100, deadline=None)
def test_any_text_is_told_as_by_the_path_that_it_makes(cell):
    for extensions in ((".note", ".t"), ()):
        assert rows_of(Path())._names_file(cell, extensions) == names_file(Path(), cell, extensions)


def test_a_text_that_names_nothing_makes_no_path(manifest, monkeypatch):
    monkeypatch.setattr("contrapose.data.pack.PurePath", None)
    monkeypatch.setattr("contrapose.data.pack.cell_path", None)
    for text in ("A chair of oak. And/or none, e.g. ash.", "words"):
        assert not rows_of(manifest.parent)._names_file(text, (".note",))
