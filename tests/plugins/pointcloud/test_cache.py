"""The cache of sampled clouds and of renderings."""

from __future__ import annotations

import os
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest

from contrapose.data.cells import NamedBytes
from contrapose.errors import ConfigError, ContraposeWarning, DataError
from contrapose_pointcloud import modality as module
from contrapose_pointcloud.cache import Cache, digest
from contrapose_pointcloud.modality import PointCloud

OFF = b"COFF\n3 1 0\n0 0 0 1 0 0\n2 0 0 0 1 0\n0 1 1 0 0 1\n3 0 1 2\n"


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that were parsed."""
    found: list[str] = []
    real = module.read

    def counted(data: bytes, name: str, *rest: object) -> object:
        found.append(name)
        return real(data, name, *rest)

    monkeypatch.setattr(module, "read", counted)
    return found


def test_a_file_is_parsed_once_until_it_changes(tmp_path: Path, reads: list[str]) -> None:
    (tmp_path / "a.off").write_bytes(OFF)
    (tmp_path / "b.off").write_bytes(OFF)
    cache = str(tmp_path / "cache")
    first, second = (PointCloud(mesh_points=64, cache=cache).load({"c": "a.off"}, tmp_path) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(first, PointCloud(mesh_points=64).load({"c": "a.off"}, tmp_path))
    assert reads == ["a.off", "a.off"]
    for arguments in ({"mesh_points": 65}, {"normals": True}, {"colours": True}, {"keep_mesh": True}):
        PointCloud(**{"mesh_points": 64, **arguments}, cache=cache).load({"c": "a.off"}, tmp_path)
    PointCloud(mesh_points=64, cache=cache).load({"c": "b.off"}, tmp_path)
    assert len(reads) == 7
    os.utime(tmp_path / "a.off", ns=(1, 1))
    PointCloud(mesh_points=64, cache=cache).load({"c": "a.off"}, tmp_path)
    assert len(reads) == 8
    entries, size = Cache(cache).size()
    assert entries == 7
    assert size == sum(file.stat().st_size for file in (tmp_path / "cache").rglob("*.npz"))


def test_bytes_are_told_by_their_content_and_name(tmp_path: Path, reads: list[str]) -> None:
    cloud = PointCloud(mesh_points=8, cache=str(tmp_path))
    for cell in (OFF, OFF, OFF.replace(b"2 0 0", b"3 0 0"), NamedBytes(OFF, "a.off")):
        cloud.load({"c": cell}, Path())
    assert len(reads) == 3


def test_a_kept_mesh_comes_back_with_its_points(tmp_path: Path, reads: list[str]) -> None:
    cloud = PointCloud(mesh_points=8, colours=True, keep_mesh=True, cache=str(tmp_path))
    first, second = (cloud.load({"c": OFF}, Path()) for _ in range(2))
    assert len(reads) == 1
    np.testing.assert_array_equal(first.mesh.vertices, second.mesh.vertices)
    np.testing.assert_array_equal(first.mesh.faces, second.mesh.faces)
    np.testing.assert_array_equal(first.mesh.colours, second.mesh.colours)


def test_what_is_refused_is_not_kept(tmp_path: Path) -> None:
    cloud = PointCloud(cache=str(tmp_path / "cache"))
    for cell in (b"OFF\n3 1 0\n0 0 0\n", "gone.off", "../up.off", object()):
        for _ in range(2):
            with pytest.raises(DataError):
                cloud.load({"c": cell}, tmp_path)
    assert Cache(str(tmp_path / "cache")).size() == (0, 0)


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 and nothing more"])
def test_a_damaged_entry_is_made_again(tmp_path: Path, damage: bytes, reads: list[str]) -> None:
    cloud = PointCloud(mesh_points=8, cache=str(tmp_path))
    first = cloud.load({"c": OFF}, Path())
    (entry,) = tmp_path.rglob("*.npz")
    entry.write_bytes(damage or entry.read_bytes()[:100])
    np.testing.assert_array_equal(cloud.load({"c": OFF}, Path()), first)
    np.testing.assert_array_equal(cloud.load({"c": OFF}, Path()), first)
    assert len(reads) == 2


def test_true_is_a_folder_of_contraposes_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONTRAPOSE_CACHE", str(tmp_path))
    PointCloud(cache=True).load({"c": OFF}, Path())
    assert Cache(True).size()[0] == 1
    assert Cache(True).folder == tmp_path / "pointcloud"


def test_a_cache_that_cannot_be_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"^can't make the cache .*file/cache: Not a directory"):
        PointCloud(cache=str(tmp_path / "file" / "cache"))
    cloud = PointCloud(mesh_points=8, cache=str(tmp_path / "full"))

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.warns(ContraposeWarning, match="can't write the cache .*No space left on device; going on without"):
        assert cloud.load({"c": OFF}, Path()).shape == (8, 3)
    assert not [file for file in (tmp_path / "full").rglob("*") if file.is_file()]


def test_digests_tell_shapes_and_types_too() -> None:
    zeros = np.zeros((2, 3), np.float32)
    different = [zeros, zeros.reshape(3, 2), zeros.view(np.int32), zeros[:1], np.asfortranarray(zeros + 1), b"", b"0"]
    assert len({digest(one) for one in different}) == len(different)
    assert digest(zeros) == digest(zeros.copy())


def _load(folder: str) -> float:
    cloud = PointCloud(mesh_points=5000, cache=folder)
    return float(sum(cloud.load({"c": OFF.replace(b"2 0 0", b"%d 0 0" % i)}, Path()).sum() for i in range(2, 22)))


def test_processes_share_it(tmp_path: Path) -> None:
    with ProcessPoolExecutor(3, mp_context=get_context("fork")) as pool:
        sums = list(pool.map(_load, [str(tmp_path)] * 3))
    assert len(set(sums)) == 1
    assert Cache(str(tmp_path)).size()[0] == 20
    assert not list(tmp_path.rglob("*.partial"))
