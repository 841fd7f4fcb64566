"""Clouds and their own renderings in one run: trained, evaluated, looked at."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import contrapose as cp
from contrapose.config import Config
from contrapose.engine.build import Parts
from contrapose.engine.metrics import read_metrics
from contrapose.engine.recipe import with_recipe
from contrapose.report.pictures import picture_views

pytest.importorskip("contrapose_image")

ROWS = 24


def box(sides: np.ndarray) -> bytes:
    corners = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]) * sides
    rows = "\n".join(" ".join(f"{v:.3f}" for v in corner) for corner in corners)
    return f"OFF\n8 6 0\n{rows}\n4 0 1 3 2\n4 4 6 7 5\n4 0 4 5 1\n4 2 3 7 6\n4 0 2 6 4\n4 1 5 7 3\n".encode()


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Boxes, two of them damaged, and pictures of them."""
    here = tmp_path_factory.mktemp("boxes")
    boxes = [box(sides) for sides in np.random.default_rng(0).uniform(0.1, 1, (ROWS, 3))]
    boxes[3], boxes[5] = boxes[3][:90], b"OFF\n3 1 0\n0 0 0\n0 0 0\n0 0 0\n3 0 1 2\n"
    splits = ["train"] * (ROWS - 8) + ["test"] * 8
    pq.write_table(pa.table({"shape": boxes, "split": splits}), here / "boxes.parquet")
    drawn = {"use": "pointcloud/render", "size": 24, "cache": str(here / "cache")}
    return {
        "data": str(here / "boxes.parquet"),
        "split": {"column": "split"},
        "modalities": {"pointcloud": {"columns": "shape", "mesh_points": 128, "normals": True}},
        "views": {"pointcloud": {"use": "pointcloud/crosspoint", "points": 64}, "image": drawn},
        "encoders": {
            "pointcloud": {"use": "pointcloud/pointnet", "width": 0.25, "emb": 32},
            "image": {"use": "image/small", "width": 8},
        },
        "method": {"use": "pair-graph", "pairs": [["pointcloud", "image"]]},
        "train": {"steps": 3, "batch_size": 8, "workers": 0, "device": "cpu"},
        "evaluate": {"views": {"image": {**drawn, "cameras": 1, "azimuth": 30}}},
    }


def test_a_cloud_is_trained_against_its_own_rendering(config: dict[str, Any], tmp_path: Path) -> None:
    run = cp.train(config, out=tmp_path / "run", quiet=True)
    assert np.isfinite(read_metrics(tmp_path / "run" / "metrics.csv").values["loss"]).all()
    assert run.unread.samples == 2
    said = (tmp_path / "run" / "skipped.csv").read_text()
    assert "the file ends too early" in said
    assert "no face with an area" in said
    found = run.embed("test")
    assert found["pointcloud"].z.shape[0] == found["image"].z.shape[0] == 8
    before = run.untrained().encoder("image").state_dict()
    after = run.encoder("image").state_dict()
    assert any(not np.array_equal(after[k], before[k]) for k in after if k.endswith("weight"))


def test_its_views_are_drawn_on_a_sheet(config: dict[str, Any], tmp_path: Path) -> None:
    failures = picture_views(Parts(with_recipe(Config.of(config))), tmp_path / "views.png", 3, split="test")
    assert not failures
    assert (tmp_path / "views.png").read_bytes().startswith(b"\x89PNG")


def test_a_rendering_hears_what_the_clouds_have(config: dict[str, Any]) -> None:
    """It is named under ``image``, and reads ``pointcloud``: the facts are those of what it reads."""
    plan = Parts(with_recipe(Config.of(config))).plan
    assert plan.generators["image"].params["normals"] is True
    assert plan.generators["pointcloud"].params["normals"] is True
