"""Data from a stranger: no path outside the folder that was named is read, nothing is unpickled, no bomb unpacks."""

from __future__ import annotations

import csv
import io
import json
import os
import pickle
import tarfile
import zlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from contrapose import DataError
from contrapose.data.cells import FOLLOW, cell_path, read_bytes
from contrapose.data.folder import files_below
from contrapose.data.formats import open_stream
from contrapose.data.packed import INDEX, packed_table
from contrapose.data.tarindex import index_of


class Bomb:
    """Touches ``pwned`` when it is unpickled."""

    def __init__(self, where: Path) -> None:
        self.where = where

    def __reduce__(self):
        return Path.touch, (self.where,)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "secret.txt").write_text("secret")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "far.txt").write_text("secret")
    folder = tmp_path / "data"
    (folder / "sub").mkdir(parents=True)
    (folder / "near.txt").write_text("near")
    (folder / "sub" / "deep.txt").write_text("deep")
    return folder


@pytest.mark.parametrize(
    "cell",
    [
        "../secret.txt",
        "sub/../../secret.txt",
        "/etc/passwd",
        "..",
        "sub/../..",
        "./../secret.txt",
        "../data/../secret.txt",
    ],
)
def test_a_cell_stays_under_the_data_s_folder(data: Path, cell: str) -> None:
    with pytest.raises(DataError, match="paths must stay under the data's folder"):
        read_bytes(cell, data)


def test_a_link_that_leaves_is_refused_unless_the_person_says_otherwise(data: Path, monkeypatch) -> None:
    (data / "file.txt").symlink_to(data.parent / "secret.txt")
    (data / "folder").symlink_to(data.parent / "elsewhere")
    (data / "chain.txt").symlink_to("file.txt")
    (data / "inside.txt").symlink_to("sub/deep.txt")
    for cell in ("file.txt", "folder/far.txt", "chain.txt"):
        with pytest.raises(DataError, match=rf"{cell}: a link that leaves the data's folder, .*; set {FOLLOW}=1"):
            read_bytes(cell, data)
    assert read_bytes("inside.txt", data) == b"deep"
    monkeypatch.setenv(FOLLOW, "1")
    assert read_bytes("folder/far.txt", data) == b"secret"


def test_data_whose_own_folder_is_a_link(data: Path) -> None:
    (data.parent / "linked").symlink_to(data)
    assert read_bytes("sub/deep.txt", data.parent / "linked") == b"deep"


def test_what_is_no_file_is_not_waited_for(data: Path) -> None:
    os.mkfifo(data / "pipe.txt")
    for cell in ("pipe.txt", "sub", "."):
        with pytest.raises(DataError, match="no file"):
            read_bytes(cell, data)
    with pytest.raises(DataError, match="null"):
        cell_path("a\0b", data)


def test_a_folder_of_links_in_a_circle_ends(data: Path) -> None:
    for name in ("one", "two", "three"):
        (data / name).symlink_to(data)
        (data / "sub" / name).symlink_to(data)
    assert sorted(map(str, files_below(data))) == ["near.txt", "sub/deep.txt"]


def test_a_folder_s_link_that_leaves_is_passed_over_and_said(data: Path, monkeypatch) -> None:
    (data / "far").symlink_to(data.parent / "elsewhere")
    with pytest.warns(match="far is a link that leaves the data's folder: passed over"):
        assert "far/far.txt" not in map(str, files_below(data))
    monkeypatch.setenv(FOLLOW, "1")
    assert "far/far.txt" in map(str, files_below(data))


def header(name: str, content: bytes = b"", kind: bytes = tarfile.REGTYPE, link: str = "") -> bytes:
    member = tarfile.TarInfo(name)
    member.size, member.type, member.linkname = len(content), kind, link
    return member.tobuf(tarfile.USTAR_FORMAT) + content + bytes(-len(content) % 512)


def sized(name: str, size: int) -> bytes:
    """A header of any size, the base-256 form taking negative ones."""
    block = bytearray(header(name))
    block[124:136] = (b"\x80" if size >= 0 else b"\xff") + (size % 256**11).to_bytes(11, "big")
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block[:512])
    return bytes(block)


GOOD = header("a.json", b'{"x": 1}')


def index(folder: Path, content: bytes) -> list[dict]:
    shard = folder / "t.tar"
    shard.write_bytes(content + bytes(1024))
    _, batches, _ = index_of([shard])
    return [row for batch in batches for row in batch.to_pylist()]


def test_members_are_read_where_they_lie_whatever_they_are_called(tmp_path: Path) -> None:
    before = sorted(tmp_path.parent.iterdir())
    (row,) = index(tmp_path, header("../../evil.bin", b"hi"))
    assert row["bin"]["offset"] == 512
    (row,) = index(tmp_path, header("/etc/evil.bin", b"hi"))
    assert row["bin"]["size"] == 2
    assert sorted(tmp_path.parent.iterdir()) == before
    assert [p.name for p in tmp_path.iterdir()] == ["t.tar"]


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_in_a_tar_are_no_data(tmp_path: Path, kind: bytes) -> None:
    (row,) = index(tmp_path, GOOD + header("b.bin", kind=kind, link="/etc/passwd"))
    assert set(row) == {"__key__", "__url__", "x"}


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "content",
    [
        GOOD + sized("b", -512),
        GOOD + sized("b.bin", -512),
        GOOD + sized("b.bin", -1024),
        GOOD + sized("b.bin", 2**62),
        header("a.json", b'{"x": ' + b"9" * 30 + b"}"),
        header("a.cls", b"9" * 30),
        header("a.json", b'{"\\ud800": 1}'),
    ],
)
def test_a_damaged_tar_is_one_line_and_ends(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(DataError, match=r"t\.tar: ") as error:
        index(tmp_path, content)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "content",
    [b"[" * 100_000, b'{"x": ' + b"9" * 5000 + b"}", b'{"bin": {"shard": -5, "offset": 0, "size": -1, "path": "x"}}'],
)
def test_a_member_s_json_that_is_a_bomb_or_a_lie_is_left_blank(tmp_path: Path, content: bytes) -> None:
    with pytest.warns(match="1 files can't be parsed"):
        (row,) = index(tmp_path, header("a.json", content))
    assert set(row) == {"__key__", "__url__"}


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ('{"a":' + "[" * 100_000, "nested too deeply"),
        ('{"a":' + "9" * 5000 + "}", "not JSON"),
        ('{"a":' + "9" * 30 + "}", "beyond 64 bits"),
        ("[1]", "each line must be an object"),
    ],
)
def test_a_hostile_line_of_json(tmp_path: Path, line: str, why: str) -> None:
    (tmp_path / "t.jsonl").write_text(line)
    with pytest.raises(DataError, match=why):
        list(open_stream(tmp_path / "t.jsonl")[1])


def test_a_parquet_file_that_lies_is_a_data_error(tmp_path: Path) -> None:
    """Any bytes of its end changed: it is read, or refused in one line."""
    file = io.BytesIO()
    pq.write_table(pa.table({"a": list(range(100)), "b": ["x" * i for i in range(100)]}), file)
    rng, whole, refused = np.random.default_rng(0), file.getvalue(), 0
    for _ in range(150):
        damaged = np.frombuffer(whole, np.uint8).copy()
        where = rng.integers(len(whole) - 800, len(whole), 3)
        damaged[where] = rng.integers(0, 256, 3)
        (tmp_path / "t.parquet").write_bytes(damaged.tobytes())
        try:
            list(open_stream(tmp_path / "t.parquet")[1])
        except DataError:
            refused += 1
    assert refused > 50


@pytest.mark.parametrize(
    "shard",
    [
        {"name": "../shard-00000.arrow", "bytes": 1, "rows": 1},
        {"name": "/etc/passwd", "bytes": 1, "rows": 1},
        {"name": 3, "bytes": 1, "rows": 1},
        {"name": "shard-00000.arrow", "bytes": "1", "rows": 1},
        {"bytes": 1},
        [],
    ],
)
def test_a_pack_s_index_names_shards_of_its_own(tmp_path: Path, shard) -> None:
    index = {"version": 1, "source": "x", "digest": "x", "shards": [shard]}
    (tmp_path / INDEX).write_text(json.dumps(index))
    with pytest.raises(DataError, match="not the index of a packed dataset"):
        packed_table(tmp_path)


def test_a_pack_s_index_that_is_deep(tmp_path: Path) -> None:
    (tmp_path / INDEX).write_text("[" * 100_000)
    with pytest.raises(DataError, match="not the index"):
        packed_table(tmp_path)


def test_a_shard_whose_buffers_are_shorter_than_they_say(tmp_path: Path) -> None:
    file = tmp_path / "shard-00000.arrow"
    schema = pa.schema([("a", pa.string())], metadata={"contrapose_pack": "x"})
    with pa.ipc.new_file(str(file), schema) as writer:
        writer.write_batch(pa.record_batch([pa.array(["hello", "there"])], schema=schema))
    offsets, lies = (np.array([0, 5, end], np.int32).tobytes() for end in (10, 1_000_000))
    assert file.read_bytes().count(offsets) == 1
    file.write_bytes(file.read_bytes().replace(offsets, lies))
    size = file.stat().st_size
    said = {
        "version": 1,
        "source": "x",
        "digest": "x",
        "shards": [{"name": "shard-00000.arrow", "bytes": size, "rows": 2}],
    }
    (tmp_path / INDEX).write_text(json.dumps(said))
    with pytest.raises(DataError, match=r"shard-00000\.arrow: damaged"):
        packed_table(tmp_path)


def png(width: int, height: int) -> bytes:
    """A PNG that says to be this large, and holds nothing but zeros, well packed."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")

    head = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([8, 0, 0, 0, 0])
    body = zlib.compress(bytes(1 << 20), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


@pytest.mark.parametrize("size", [(30_000, 30_000), (2**31 - 1, 2**31 - 1), (100_000_001, 1)])
def test_a_picture_that_unpacks_to_all_of_the_memory(size: tuple[int, int]) -> None:
    decode = pytest.importorskip("contrapose_image.decode").decode
    with pytest.raises(DataError, match=r"more than 100,000,000|broken picture"):
        decode(png(*size))


def test_arrays_are_never_unpickled(tmp_path: Path) -> None:
    read = pytest.importorskip("contrapose_pointcloud.formats.read").read
    array, file = np.array([Bomb(tmp_path / "pwned")], dtype=object), io.BytesIO()
    np.save(file, array, allow_pickle=True)
    with pytest.raises(DataError, match="Object arrays cannot be loaded when allow_pickle=False"):
        read(file.getvalue(), "a.npy")
    file = io.BytesIO()
    np.savez(file, points=array)
    with pytest.raises(DataError, match="Object arrays cannot be loaded"):
        read(file.getvalue(), "a.npz")
    with pytest.raises(DataError):
        read(pickle.dumps(Bomb(tmp_path / "pwned")), "a.npy")
    assert not (tmp_path / "pwned").exists()


def npy_header(shape: str) -> bytes:
    said = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(said).to_bytes(2, "little") + said.encode()


def test_a_zip_bomb_and_a_header_that_lies(monkeypatch) -> None:
    plain = pytest.importorskip("contrapose_pointcloud.formats.plain")
    from contrapose_pointcloud.formats.read import read

    assert plain.MOST_BYTES <= 2**31
    monkeypatch.setattr(plain, "MOST_BYTES", 10**7)
    file = io.BytesIO()
    np.savez_compressed(file, points=np.zeros((10**6, 3), np.float32))
    assert len(file.getvalue()) < 10**5
    with pytest.raises(DataError, match=r"unpacks to 12,000,\d+ bytes, more than 10,000,000"):
        read(file.getvalue(), "a.npz")
    for shape in ("(10000000000000, 3)", "(-1, 3)", "(2, 3)"):
        with pytest.raises(DataError, match="not a readable npy file"):
            read(npy_header(shape), "a.npy")


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "ply",
    [
        b"ply\nformat ascii 1.0\nelement vertex 99999999999\nproperty float x\nend_header\n",
        b"ply\nformat ascii 1.0\nelement vertex -5\nproperty float x\nend_header\n",
        b"ply\nformat binary_little_endian 1.0\nelement face 900000000\nproperty list char int v\nend_header\n\xff\xff",
        b"ply\nformat binary_little_endian 1.0\nelement face 9\nproperty list char int v\nend_header\n\xff\xff"
        + bytes(20),
        b"ply\nformat ascii 1.0\nelement face 2\nproperty list char int v\nend_header\n-4 -4 -4",
    ],
)
def test_a_ply_that_counts_wrongly(ply: bytes) -> None:
    read = pytest.importorskip("contrapose_pointcloud.formats.read").read
    with pytest.raises(DataError, match="not a readable ply file"):
        read(ply, "a.ply")


@pytest.mark.parametrize("uri", ["../secret.bin", "%2e%2e/secret.bin", "/etc/passwd", "sub/../../secret.bin"])
@pytest.mark.parametrize("binary", [False, True])
def test_a_gltf_reads_no_file_outside_its_folder(tmp_path: Path, uri: str, binary: bool) -> None:
    pytest.importorskip("open3d")
    from contrapose_pointcloud.formats.read import read

    points = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0]], np.float32).tobytes()
    (tmp_path / "secret.bin").write_bytes(points)
    tree = {
        "asset": {"version": "2.0"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0}],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0}}]}],
        "buffers": [{"uri": uri, "byteLength": 36}],
        "bufferViews": [{"buffer": 0, "byteLength": 36}],
        "accessors": [
            {"bufferView": 0, "componentType": 5126, "count": 3, "type": "VEC3", "max": [1, 1, 0], "min": [0, 0, 0]}
        ],
    }
    said = json.dumps(tree).encode()
    if binary:
        said += b" " * (-len(said) % 4)
        said = b"glTF" + b"".join(n.to_bytes(4, "little") for n in (2, 20 + len(said), len(said))) + b"JSON" + said
    file = tmp_path / "in" / f"a.{'glb' if binary else 'gltf'}"
    file.parent.mkdir()
    file.write_bytes(said)
    with pytest.raises(DataError, match="paths must stay under the data's folder"):
        read(said, file.name, file)


def test_an_obj_is_read_without_the_files_that_it_names(tmp_path: Path) -> None:
    pytest.importorskip("open3d")
    from contrapose_pointcloud.formats.read import read

    mesh = read(b"mtllib ../../etc/passwd\r mtllib x\nv 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n", "a.obj")
    assert len(mesh.vertices) == 3


def test_weights_are_never_unpickled(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    load_weights = pytest.importorskip("contrapose_image.weights").load_weights
    from contrapose import ConfigError

    net = torch.nn.Linear(2, 2)
    for name in ("w.pt", "w.pth", "w.bin"):
        torch.save({"weight": Bomb(tmp_path / "pwned")}, tmp_path / name)
        with pytest.raises(ConfigError, match="holds no weights that can be read safely"):
            load_weights(net, "resnet18", str(tmp_path / name))
    (tmp_path / "w.pt").write_bytes(pickle.dumps(Bomb(tmp_path / "pwned")))
    with pytest.raises(ConfigError, match="holds no weights that can be read safely"):
        load_weights(net, "resnet18", str(tmp_path / "w.pt"))
    assert not (tmp_path / "pwned").exists()


def test_a_manifest_that_names_what_it_must_not_is_skipped_and_listed(tmp_path: Path) -> None:
    """Training goes on with the others; ``skipped.csv`` names each, and the exit status tells of many."""
    from contrapose.plugins import configure
    from tests.faults.helpers import train, waves_alone

    config = waves_alone(tmp_path / "project")
    (tmp_path / "secret.txt").write_text(" ".join(["1"] * 32))
    table = config.parent / "things.jsonl"
    rows = [json.loads(line) for line in table.read_text().splitlines()]
    (config.parent / "waves" / "link.txt").symlink_to(tmp_path / "secret.txt")
    for row, wave in zip(rows, ("../secret.txt", "/etc/passwd", "waves/link.txt"), strict=False):
        row["wave"] = wave
    table.write_text("".join(json.dumps(row) + "\n" for row in rows))
    try:
        assert train(config, "--out", tmp_path / "run", "--set", "train.epochs=1") == 0
    finally:
        configure()
    with open(tmp_path / "run" / "skipped.csv", newline="") as file:
        reasons = {int(row["sample"]): row["reason"] for row in csv.DictReader(file)}
    assert reasons.keys() == {0, 1, 2}
    assert "must stay under" in reasons[0]
    assert "must stay under" in reasons[1]
    assert "a link that leaves" in reasons[2]
