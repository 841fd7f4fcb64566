"""What the point cloud modality claims of a table of one's own."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from contrapose.config import build
from contrapose_pointcloud.modality import PointCloud


def npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def claimed(values: list[Any], root: Path = Path()) -> bool:
    return PointCloud().suggest({"x": values}, root, small=True) is not None


def test_sizes_suit_the_machine() -> None:
    small, large = (PointCloud().suggest({"n": [1], "c": ["a.ply", "b.OBJ"]}, Path(), small=s) for s in (True, False))
    assert small.columns == large.columns == ["c"]
    assert (small.views["points"], large.views["points"]) == (256, 1024)
    for found in (small, large):
        build("view", found.views)
        build("encoder", found.encoder)


def test_arrays_are_clouds_only_where_they_look_like_points(tmp_path: Path) -> None:
    cloud, matrix, row = np.zeros((20, 3)), np.zeros((20, 64)), np.zeros(20)
    for name, array in {"cloud": cloud, "matrix": matrix, "row": row}.items():
        (tmp_path / f"{name}.npy").write_bytes(npy(array))
        assert claimed([f"{name}.npy"], tmp_path) is (name == "cloud")
        assert claimed([npy(array)]) is (name == "cloud")
        assert claimed([array.tolist()]) is (name == "cloud")
    assert not claimed(["gone.npy"], tmp_path)


@pytest.mark.parametrize(
    "values", [[], ["a.png"], ["ply"], [1.5], [True], [b"\x89PNG\r\n"], [[[1, 2], [3]]], [{"a": 1}]]
)
def test_what_is_no_cloud(values: list[Any]) -> None:
    assert not claimed(values)
