"""Manifests: one table in three formats, its cells, its columns, and its errors."""

import json
import pickle
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from contrapose.data import ManifestReader, cell_path, open_reader, read_bytes
from contrapose.data.cache import arrow_file
from contrapose.errors import ConfigError, DataError, PluginError


class Pulse:
    """An invented modality: a file of floats, or any cells as they come."""

    name = "pulse"
    dtype = torch.float32
    extensions = (".pulse",)

    def load(self, cells, root):
        (cell,) = cells.values()
        return np.array(read_bytes(cell, root).split(), dtype=float)

    def collate(self, items):
        return torch.stack([torch.from_numpy(i) for i in items])

    def preview(self, data):
        return {"text/plain": str(data)}


class Cells(Pulse):
    def load(self, cells, root):
        return cells


MODALITIES = {"pulse": Pulse(), "cells": Cells()}
ROWS = [
    {"pulse": "a.pulse", "name": "oak, old", "size": 1.5, "count": 3, "code": "NA", "odd": True},
    {"pulse": "b.pulse", "name": 'two\nlines "said"', "size": 2.0, "count": None, "code": "b7", "odd": False},
    {"pulse": None, "name": None, "size": None, "count": 7, "code": None, "odd": None},
    {"pulse": "c.pulse", "name": "ash", "size": -3.25, "count": 9, "code": "b7", "odd": True},
]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CONTRAPOSE_CACHE", str(tmp_path / "cache"))


def write_csv(path, rows):
    import csv

    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def write_jsonl(path, rows):
    path.write_text("".join(json.dumps({k: v for k, v in row.items() if v is not None}) + "\n" for row in rows))
    return path


def write_parquet(path, rows):
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


WRITERS = {"csv": write_csv, "jsonl": write_jsonl, "parquet": write_parquet}


def rows_of(reader):
    return [(s.id, s.data.get("cells"), s.meta) for s in (reader[i] for i in range(len(reader)))]


def test_csv_jsonl_and_parquet_agree(tmp_path):
    columns = {"cells": ["pulse", "name", "size", "count", "code", "odd"]}
    meta = {"label": "code", "n": "count", "size": "size", "odd": "odd"}
    readers = [ManifestReader(w(tmp_path / f"m.{s}", ROWS), MODALITIES, columns, meta) for s, w in WRITERS.items()]
    wanted = [(i, row, m) for i, (row, m) in enumerate(zip(ROWS, [s.meta for s in readers[0]], strict=True))]
    for reader in readers:
        # repr, as NaN doesn't equal itself
        assert repr(rows_of(reader)) == repr(wanted)
        assert reader.vocabularies == {"label": ["NA", "b7"], "odd": ["false", "true"]}
        assert reader.column("label").tolist() == [0, 1, -1, 1]
        assert reader.column("n").tolist() == [3, -1, 7, 9]
        assert reader.column("n").dtype == np.int64
        np.testing.assert_equal(reader.column("size"), [1.5, 2.0, np.nan, -3.25])
        assert reader.words("label") == ["NA", "b7", None, "b7"]
    assert len({r.fingerprint() for r in readers}) == 3  # three sources


def test_null_cells_are_missing_modalities(tmp_path):
    for stem in "abc":
        (tmp_path / f"{stem}.pulse").write_text("1 2 3")
    reader = ManifestReader(
        write_csv(tmp_path / "m.csv", ROWS), MODALITIES, {"pulse": "pulse", "cells": ["name", "size"]}
    )
    assert [sorted(s.data) for s in reader] == [["cells", "pulse"], ["cells", "pulse"], [], ["cells", "pulse"]]
    np.testing.assert_array_equal(reader[3].data["pulse"], [1, 2, 3])
    # one of two cells missing isn't a missing modality
    rows = [{"a": 1, "b": None}, {"a": None, "b": None}]
    reader = ManifestReader(
        write_jsonl(tmp_path / "n.jsonl", [{"a": 1, "b": 2}, *rows]), MODALITIES, {"cells": ["a", "b"]}
    )
    assert [s.data for s in reader] == [{"cells": {"a": 1, "b": 2}}, {"cells": {"a": 1, "b": None}}, {}]


def test_lists_of_numbers_come_as_arrays_and_bytes_as_bytes(tmp_path):
    table = pa.table({"signal": [[1.0, 2.0], None, [3.0]], "blob": [b"1 2", b"", None]})
    pq.write_table(table, tmp_path / "m.parquet")
    reader = ManifestReader(tmp_path / "m.parquet", MODALITIES, {"cells": "signal", "pulse": "blob"})
    assert isinstance(reader[0].data["cells"]["signal"], np.ndarray)
    np.testing.assert_array_equal(reader[0].data["cells"]["signal"], [1, 2])
    np.testing.assert_array_equal(reader[0].data["pulse"], [1, 2])
    assert "cells" not in reader[1].data
    assert "pulse" in reader[1].data  # empty bytes aren't null


def test_what_cannot_be_read_is_told_and_the_rest_stays(tmp_path):
    (tmp_path / "good.pulse").write_text("1 2")
    (tmp_path / "bad.pulse").write_text("one two")
    rows = [{"p": p, "x": 1} for p in ("good.pulse", "bad.pulse", "gone.pulse")]
    reader = ManifestReader(write_csv(tmp_path / "m.csv", rows), MODALITIES, {"pulse": "p", "cells": "x"})
    assert reader.read(0)[1] == []
    sample, [(modality, error)] = reader.read(1)
    assert (sorted(sample.data), modality, type(error)) == (["cells"], "pulse", ValueError)
    _, [(_, error)] = reader.read(2)
    assert isinstance(error, DataError)
    assert str(error) == f"{tmp_path / 'gone.pulse'}: no such file"
    assert sorted(reader[1].data) == ["cells"]


def test_a_modality_whose_package_lacks_stops_the_run(tmp_path):
    class Needy(Pulse):
        def load(self, cells, root):
            import no_such_package  # noqa: F401

    reader = ManifestReader(write_csv(tmp_path / "m.csv", [{"x": 1}]), {"pulse": Needy()}, {"pulse": "x"})
    with pytest.raises(PluginError, match="no_such_package"):
        reader[0]


@pytest.mark.parametrize("cell", ["../secret", "/etc/passwd", "a/../../secret", ".."])
def test_paths_stay_under_the_root(tmp_path, cell):
    (tmp_path / "root").mkdir()
    (tmp_path / "secret").write_text("1")
    with pytest.raises(DataError, match="must stay under"):
        read_bytes(cell, tmp_path / "root")


def test_cells_are_bytes_or_paths(tmp_path):
    (tmp_path / "x").write_bytes(b"data")
    assert read_bytes(b"as is", tmp_path) == b"as is"
    assert read_bytes("a/../x", tmp_path) == b"data"
    assert cell_path("a/./b", tmp_path) == tmp_path / "a/b"
    with pytest.raises(DataError, match="expected bytes or a path, got float"):
        read_bytes(1.5, tmp_path)  # type: ignore[arg-type]
    with pytest.raises(DataError):
        read_bytes("nul\0byte", tmp_path)


def test_types_hold_for_the_whole_file_not_its_beginning(tmp_path, monkeypatch):
    monkeypatch.setattr("contrapose.data.formats.BATCH_BYTES", 400)
    rows = [{"a": i, "b": "", "c": i} for i in range(300)] + [{"a": "x", "b": 0.5, "c": 1.5}]
    reader = ManifestReader(write_csv(tmp_path / "m.csv", rows), MODALITIES, {"cells": ["a", "b", "c"]})
    assert reader[0].data["cells"] == {"a": "0", "b": None, "c": 0.0}
    assert reader[300].data["cells"] == {"a": "x", "b": 0.5, "c": 1.5}
    assert [s.data["cells"]["a"] for s in reader] == [str(r["a"]) for r in rows]
    rows = [{"a": i} for i in range(300)] + [{"a": 0.5, "late": "x"}]
    reader = ManifestReader(write_jsonl(tmp_path / "m.jsonl", rows), MODALITIES, {"cells": ["a", "late"]})
    assert reader[299].data["cells"] == {"a": 299.0, "late": None}
    assert reader[300].data["cells"] == {"a": 0.5, "late": "x"}


def test_wrong_columns_are_config_errors_with_their_path(tmp_path):
    file = write_csv(tmp_path / "m.csv", ROWS)
    with pytest.raises(ConfigError, match="did you mean 'pulse'") as error:
        ManifestReader(file, MODALITIES, {"pulse": "pluse"})
    assert error.value.path == ("modalities", "pulse")
    with pytest.raises(ConfigError, match="did you mean 'size'") as error:
        ManifestReader(file, MODALITIES, {"pulse": "pulse"}, {"label": "siez"})
    assert error.value.path == ("meta", "label")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("empty.csv", "", "Empty CSV"),
        ("header.csv", "a,b\n", "no rows"),
        ("ragged.csv", "a,b\n1,2\n3\n", "(?i)row #3.*expected 2 columns"),
        ("twice.csv", "a,a\n1,2\n", "'a' appears twice"),
        ("open.csv", 'a,b\n1,2\n3,"x\n4,5\n', "row 3 is never closed"),
        ("semi.csv", "a;b\n1;2\n", "parted by semicolons"),
        ("tabs.csv", "a\tb\n1\t2\n", r"parted by tabs: .* as \.tsv"),
        ("empty.jsonl", "\n\n", "no rows"),
        ("bad.jsonl", '{"a": 1}\n\n{"a": }\n', "bad.jsonl:3: not JSON"),
        ("list.jsonl", '{"a": 1}\n[1]\n', "list.jsonl:2: each line must be an object"),
        (
            "mixed.jsonl",
            '{"a": 1}\n{"b": 2.5}\n{"a": null, "b": 3}\n{"a": "x"}\n{}',
            r"mixed.jsonl:4: mixes types .*Field a .*int64 vs string",
        ),
        ("nested.jsonl", '{"a": [1, "x"]}\n', "nested.jsonl:1: mixes types"),
        (
            "big.jsonl",
            '{"a": 1}\n{"a": 18446744073709551616}\n',
            "big.jsonl:2: a whole number beyond 64 bits; write it as text",
        ),
        ("half.jsonl", '{"a": "b"}\n{"a": "\\ud83d"}\n', "half.jsonl:2: half a character, .*not UTF-8"),
        ("broken.parquet", "nonsense", "can't be read as parquet"),
        ("what.txt", "a", "a manifest ends in .parquet"),
    ],
)
def test_unreadable_tables_are_one_line(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=message) as error:
        open_reader(tmp_path / name, MODALITIES, {"cells": "a"})
    assert name in str(error.value)
    assert "\n" not in str(error.value)
    assert not list((tmp_path / "cache").glob("**/*.partial"))


def test_utf16_is_told_and_what_only_looks_odd_is_read(tmp_path):
    (tmp_path / "w.csv").write_text("a,b\n1,2\n", encoding="utf-16")
    with pytest.raises(DataError, match="it is UTF-16; save it as UTF-8"):
        open_reader(tmp_path / "w.csv", MODALITIES, {"cells": "a"})
    (tmp_path / "bom.csv").write_bytes(b'\xef\xbb\xbfa,b\r\n1,x"y\r\n2,"two\nlines """\r\n')
    reader = open_reader(tmp_path / "bom.csv", MODALITIES, {"cells": ["a", "b"]})
    assert [reader[i].data["cells"] for i in range(2)] == [{"a": 1, "b": 'x"y'}, {"a": 2, "b": 'two\nlines "'}]


def test_missing_data_and_unwritable_cache(tmp_path, monkeypatch):
    with pytest.raises(DataError, match="No such file"):
        open_reader(tmp_path / "gone.csv", MODALITIES, {"cells": "a"})
    with pytest.raises(DataError, match="no such file or folder"):
        open_reader(tmp_path / "gone", MODALITIES, {"cells": "a"})
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("CONTRAPOSE_CACHE", str(tmp_path / "file"))
    with pytest.raises(DataError, match="set CONTRAPOSE_CACHE"):
        open_reader(write_csv(tmp_path / "m.csv", ROWS), MODALITIES, {"cells": "name"})


def test_the_cache_follows_the_file(tmp_path):
    file = write_csv(tmp_path / "m.csv", [{"a": 1}])
    first = ManifestReader(file, MODALITIES, {"cells": "a"})
    again = ManifestReader(file, MODALITIES, {"cells": "a"})
    write_csv(file, [{"a": 1}, {"a": 22}])
    second = ManifestReader(file, MODALITIES, {"cells": "a"})
    assert (len(first), len(second)) == (1, 2)
    assert first.fingerprint() == again.fingerprint() != second.fingerprint()
    assert first[0].data["cells"] == {"a": 1}  # still mapped
    assert len(list((tmp_path / "cache" / "tables").iterdir())) == 1


def test_subsets_and_pickles_keep_ids_and_codes(tmp_path):
    reader = ManifestReader(write_csv(tmp_path / "m.csv", ROWS), MODALITIES, {"cells": "name"}, {"label": "code"})
    part = reader.subset([3, 1]).subset([1, 0])
    assert part.ids.tolist() == [1, 3]
    assert [s.id for s in part] == [1, 3]
    assert part.column("label").tolist() == [1, 1]
    assert part.fingerprint() != reader.fingerprint()
    data = pickle.dumps(part)
    assert pickle.loads(data)[1].data == part[1].data
    assert len(data) < 4000


def test_saved_vocabularies_keep_their_codes(tmp_path):
    file = write_jsonl(tmp_path / "m.jsonl", [{"a": w} for w in ("cat", "ant", "dog")])
    old = ManifestReader(file, MODALITIES, {"cells": "a"}, {"label": "a"}, {"label": ["cat", "eel", "dog"]})
    assert old.column("label").tolist() == [0, 3, 2]
    assert old.vocabularies == {"label": ["cat", "eel", "dog", "ant"]}


def test_open_reader_finds_paths_from_the_config(tmp_path, monkeypatch):
    write_csv(tmp_path / "m.csv", ROWS)
    assert len(open_reader("m.csv", MODALITIES, {"cells": "name"}, base=tmp_path)) == 4
    monkeypatch.chdir(tmp_path)
    assert len(open_reader("m.csv", MODALITIES, {"cells": "name"}, base=tmp_path / "elsewhere")) == 4
    ready = [1, 2]
    assert open_reader(ready, MODALITIES, {}) is ready


def test_open_reader_builds_and_asks_plugins(tmp_path, monkeypatch):
    file = str(write_csv(tmp_path / "m.csv", ROWS))
    asked = []

    def build(kind, node, path, **context):
        asked.append((kind, node, path, sorted(context)))
        return "reader"

    names = ["base", "columns", "meta", "modalities", "vocabularies"]
    assert open_reader({"use": "mine", "path": file}, MODALITIES, {}, build=build) == "reader"
    monkeypatch.setattr("contrapose.plugins.manager.Manager.reader_for", lambda self, uri: "acme/shards")
    assert open_reader("acme://x", MODALITIES, {}, build=build) == "reader"
    assert asked == [
        ("reader", {"use": "mine", "path": file}, ("data",), names),
        ("reader", {"use": "acme/shards", "uri": "acme://x"}, ("data",), names),
    ]
    assert len(open_reader(file, MODALITIES, {"cells": "name"}, build=build)) == 4  # its own formats come first


def test_a_long_manifest_opens_fast_with_flat_memory(tmp_path):
    """200 000 rows of 1 kB each: opened again in a fresh process, neither time nor memory follows the 200 MB."""
    rows = 200_000
    blob = np.random.default_rng(0).bytes(1024)
    schema = pa.schema([("p", pa.binary()), ("label", pa.string())])
    with pq.ParquetWriter(tmp_path / "m.parquet", schema) as writer:
        for _ in range(10):
            n = rows // 10
            writer.write_table(pa.table({"p": [blob] * n, "label": [f"l{i % 7}" for i in range(n)]}, schema))
    code = """
import sys, time
from pathlib import Path
import contrapose.data as d
class M:
    name = "m"
    def load(self, cells, root): return len(cells["p"])
def rss():  # what this process owns, without the file's pages, which the kernel takes back when it wants
    return int(Path("/proc/self/status").read_text().partition("RssAnon:")[2].split()[0]) / 1e3
before, start = rss(), time.process_time()  # of this process: the machine may be busy
r = d.ManifestReader(sys.argv[1], {"m": M()}, {"m": "p"}, {"label": "label"})
opened = time.process_time() - start
start = time.process_time()
assert all(r[i].data["m"] == 1024 for i in range(0, 200_000, 100))
each = (time.process_time() - start) / 2000
print(len(r), opened, each, rss() - before)
"""
    arrow_file(tmp_path / "m.parquet")
    command = [sys.executable, "-c", code, str(tmp_path / "m.parquet")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    length, opened, each, grown = map(float, done.stdout.split())
    print(f"{opened:.3f} s, {each * 1e6:.0f} us a sample, {grown:.0f} MB")
    assert length == rows
    assert opened < 1.0
    assert each < 1e-3
    assert grown < 40


def test_text_that_is_not_utf8_is_one_row_the_worse_and_a_label_of_it_one_line(tmp_path):
    raw = pa.array([b"fine", b"\xff\xfe"], pa.binary())
    text = pa.Array.from_buffers(pa.string(), 2, raw.buffers())
    pq.write_table(pa.table({"pulse": text, "room": text}), tmp_path / "t.parquet")

    class Words:
        name, dtype = "pulse", None

        def load(self, cells, root):
            if isinstance(cells["pulse"], bytes):
                raise DataError("not UTF-8")
            return cells["pulse"]

    reader = ManifestReader(tmp_path / "t.parquet", {"pulse": Words()}, {"pulse": "pulse"})
    assert reader.read(0)[0].data == {"pulse": "fine"}
    sample, failed = reader.read(1)
    assert sample.data == {}
    assert [(m, str(e)) for m, e in failed] == [("pulse", "not UTF-8")]
    assert list(reader.cells("pulse")) == [{"pulse": "fine"}, {"pulse": b"\xff\xfe"}]
    with pytest.raises(ConfigError, match=r"'room': it holds text that isn't UTF-8 \(b'\\xff\\xfe'\)"):
        ManifestReader(tmp_path / "t.parquet", {"pulse": Words()}, {"pulse": "pulse"}, meta={"label": "room"})
    (tmp_path / "t.jsonl").write_text('{"pulse": "\\ud83d"}\n')
    with pytest.raises(DataError, match=":1: half a character"):
        ManifestReader(tmp_path / "t.jsonl", {"pulse": Words()}, {"pulse": "pulse"})
