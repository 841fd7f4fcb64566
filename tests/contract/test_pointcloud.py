"""The point cloud plugin under the contracts."""

from __future__ import annotations

import io
from typing import Any

import numpy as np

from contrapose.testing import EncoderContract, HeadContract, MethodContract, ModalityContract, ViewContract

OFF = b"OFF\n4 2 0\n0 0 0\n1 0 0\n0 1 0\n0 0 1\n3 0 1 2\n3 0 1 3\n"


def cloud(points: int, seed: int) -> bytes:
    """An npy file of points, wide in x, high in y, off the origin."""
    drawn = np.random.default_rng(seed).normal(size=(points, 3)) * [2, 1, 0.5] + [3, -1, 10]
    file = io.BytesIO()
    np.save(file, drawn.astype(np.float32))
    return file.getvalue()


UNLIKE = [{"cloud": cloud(200, 0)}, {"cloud": cloud(64, 1)}, {"cloud": OFF}, {"cloud": cloud(20, 2)}]
ALIKE = [{"cloud": cloud(64, seed)} for seed in range(4)]
SMALL = {"use": "pointcloud/eval", "points": 64}
CUT = ("cuboid-crop", "cuboid-drop", "box-crop", "cutout", "occlude")
SIZED = ("crosspoint", "resample", "fps", *CUT, "depthcontrast", "strl", "ulip")
RECIPES: dict[str, dict[str, Any]] = {f"pointcloud/{name}": {"points": 48} for name in SIZED}
PAIRS: dict[str, dict[str, Any]] = {
    f"pointcloud/{name}": {"points": 48, "pairs": 8} for name in ("partial", "pointcontrast")
}
STEPS: dict[str, dict[str, Any]] = {
    f"pointcloud/{name}": {}
    for name in ("scale", "rotate", "translate", "shift", "perturb", "jitter", "dropout", "elastic")
}
ENCODERS: dict[str, dict[str, Any]] = {
    "pointcloud/pointnet": {"width": 0.5, "emb": 32},
    "pointcloud/pointnet2": {"points": 16, "radius": 0.4, "k": 8, "width": 0.25, "emb": 32},
    "pointcloud/dgcnn": {"k": 8, "width": 0.25, "emb": 32},
    "pointcloud/point-transformer": {"k": 8, "width": 0.25},
}
DENSE = {name: {**ENCODERS[name], "dense": True} for name in ("pointcloud/pointnet2", "pointcloud/point-transformer")}


class TestPointCloud(ModalityContract):
    spec = "pointcloud"
    cells = UNLIKE
    broken = [{"cloud": OFF[:30]}, {"cloud": b""}, {"cloud": cloud(9, 0)[:100]}, {"cloud": "nowhere.ply"}]
    view = SMALL


class TestRecipes(ViewContract):
    specs = RECIPES
    cells = UNLIKE
    alike = ALIKE


class TestRepeats(ViewContract):
    spec = "pointcloud/resample"
    arguments = {"points": 80}
    cells = ALIKE


class TestAnyAxis(ViewContract):
    spec = "pointcloud/rotate"
    arguments = {"axis": "any"}
    cells = ALIKE


class TestPairs(ViewContract):
    specs = PAIRS
    cells = UNLIKE


class TestSteps(ViewContract):
    specs = STEPS
    cells = ALIKE


class TestUpsample(ViewContract):
    spec = "pointcloud/upsample"
    arguments = {"points": 80}
    cells = ALIKE


class TestUnitSphere(ViewContract):
    spec = "pointcloud/unit-sphere"
    cells = ALIKE
    random = False


class TestEvaluationView(ViewContract):
    spec = "pointcloud/eval"
    arguments = {"points": 64}
    cells = UNLIKE
    alike = ALIKE
    random = False


class TestEncoders(EncoderContract):
    specs = ENCODERS
    cells = UNLIKE
    view = SMALL


class TestLeading(HeadContract):
    spec = "pointcloud/leading"
    arguments = {"positions": 2}
    places = 3


class TestDenseEncoders(EncoderContract):
    specs = DENSE
    cells = UNLIKE
    view = SMALL


class TestCrossPoint(MethodContract):
    spec = "pointcloud/crosspoint"


class TestPointContrast(MethodContract):
    spec = "pointcloud/pointcontrast"


class TestDepthContrast(MethodContract):
    spec = "pointcloud/depthcontrast"
    still = ("towers.encoders.toy",)  # its branches name encoders of their own


class TestStrl(MethodContract):
    spec = "pointcloud/strl"


class TestUlip(MethodContract):
    spec = "pointcloud/ulip"
    arguments = {"branches": {"cloud": {"projector": {"out": 8}}}}  # the width of the kit's towers
    views = 1
