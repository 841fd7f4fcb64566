from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from contrapose.data.cells import NamedBytes
from contrapose.errors import DataError
from contrapose.types import Modality
from contrapose_pointcloud.modality import PointCloud

Points = NDArray[np.float32]
TRIANGLE = b"OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 2\n"


def load(cell: object, root: Path = Path()) -> Points:
    return PointCloud(mesh_points=64).load({"cloud": cell}, root)


def test_it_is_a_modality() -> None:
    assert isinstance(PointCloud(), Modality)
    assert {".ply", ".npy", ".pcd", ".glb"} <= set(PointCloud.extensions)


def test_load_from_path_bytes_and_array(tmp_path: Path, cloud: Points) -> None:
    np.save(tmp_path / "a.npy", cloud.astype(np.float64))
    for cell in ("a.npy", (tmp_path / "a.npy").read_bytes(), cloud, cloud.tolist()):
        found = load(cell, tmp_path)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, cloud)
    with pytest.raises(DataError, match="no such file"):
        load("b.npy", tmp_path)
    with pytest.raises(DataError, match=r"must stay under"):
        load("../a.npy", tmp_path)


def test_features_beyond_the_coordinates_stay(cloud: Points) -> None:
    assert load(np.concatenate([cloud, cloud[:, :2]], axis=1)).shape == (200, 5)


def test_points_that_are_no_numbers_are_left_out(cloud: Points) -> None:
    cloud[3, 1], cloud[5, 0] = np.nan, np.inf
    np.testing.assert_array_equal(load(cloud), np.delete(cloud, [3, 5], axis=0))


@pytest.mark.parametrize(
    "bad",
    [
        np.zeros((0, 3)),
        np.full((4, 3), np.nan),
        np.zeros((4, 2)),
        np.zeros(12),
        np.zeros((2, 3), bool),
        np.full((4, 3), 1e300),
    ],
)
def test_what_is_no_cloud_is_refused(bad: Points) -> None:
    with pytest.raises(DataError, match=r"^a point cloud: "):
        load(bad)


def test_flat_and_tiny_things_are_handled() -> None:
    sampled = load(TRIANGLE)
    assert sampled.shape == (64, 3)
    assert np.ptp(sampled[:, 2]) == 0
    np.testing.assert_array_equal(sampled, load(TRIANGLE))
    for data in (sampled, sampled[:1], np.zeros((5, 3), np.float32)):
        assert PointCloud().preview(data)["image/png"].startswith(b"\x89PNG")


def test_a_mesh_without_area_is_refused() -> None:
    with pytest.raises(DataError, match="no face with an area"):
        load(TRIANGLE.replace(b"0 1 0\n3", b"2 0 0\n3"))


def test_collate(cloud: Points) -> None:
    batch = PointCloud().collate([cloud, cloud.astype(np.float64) + 1, torch.from_numpy(cloud)])
    assert batch.shape == (3, 200, 3)
    assert batch.dtype == torch.float32
    with pytest.raises(DataError, match=r"of 100 and 200 points.*pointcloud/resample"):
        PointCloud().collate([cloud, cloud[:100]])
    with pytest.raises(DataError, match="unlike columns"):
        PointCloud().collate([cloud, cloud[:, [0, 1, 2, 2]]])


def test_preview_shows_the_cloud_with_up_above(cloud: Points) -> None:
    cloud[:, 1] = np.abs(cloud[:, 1])
    tower = np.concatenate([cloud * [1, 0, 1], [[3, 20, 10]]]).astype(np.float32)  # a slab, and one point high above
    png = PointCloud().preview(tower)["image/png"]
    picture = np.asarray(Image.open(io.BytesIO(png)))
    assert picture.shape == (112, 112, 3)
    ink = (picture < 250).any(axis=2).sum(axis=1)
    assert 0 < ink[:40].sum() < ink[-40:].sum()
    assert picture[0, 0].tolist() == [255, 255, 255]


def test_a_file_from_a_shard_is_told_by_its_name() -> None:
    cloud = PointCloud().load({"c": NamedBytes(b"1 2 3\n", "a.xyz")}, Path())
    assert cloud.tolist() == [[1, 2, 3]]
    with pytest.raises(DataError, match=r"^a\.foo: no reader for \.foo"):
        PointCloud().load({"c": NamedBytes(b"1 2 3\n", "a.foo")}, Path())
