"""The point cloud plugin under the contracts."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import torch

from contrapose.testing import EncoderContract, HeadContract, MethodContract, ModalityContract, ViewContract

OFF = b"OFF\n4 2 0\n0 0 0\n1 0 0\n0 1 0\n0 0 1\n3 0 1 2\n3 0 1 3\n"

PAINTED = b"COFF\n4 2 0\n0 0 0 255 0 0\n1 0 0 0 255 0\n0 1 0 0 0 255\n0 0 1 9 9 9\n3 0 1 2\n3 0 1 3\n"


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


class TestNormalsAndColours(ModalityContract):
    spec = "pointcloud"
    arguments = {"normals": True, "colours": True, "mesh_points": 64, "keep_mesh": True}
    cells = [
        {"cloud": PAINTED},
        {"cloud": PAINTED.replace(b"0 1 0", b"0 2 0")},
        {"cloud": PAINTED.replace(b"4 2 0", b"4 1 0")[:-9]},
    ]
    broken = [{"cloud": OFF}, {"cloud": cloud(20, 2)}]
    view = SMALL


class TestTurnsWithNormals(ViewContract):
    specs = {name: {} for name in ("pointcloud/rotate", "pointcloud/elastic")}
    modality = {"use": "pointcloud", "normals": True, "mesh_points": 32}
    cells = [{"cloud": OFF}, {"cloud": OFF.replace(b"1 0 0", b"2 0 0")}, {"cloud": OFF.replace(b"0 1 0", b"0 3 0")}]


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


class TestRendering(ViewContract):
    spec = "pointcloud/render"
    arguments = {"size": 16}
    cells = UNLIKE


class TestOneCamera(ViewContract):
    spec = "pointcloud/render"
    arguments = {"size": 8, "mode": "depth", "cameras": 1, "fov": 0}
    cells = ALIKE[:3]
    random = False


class TestMeshRendering(ViewContract):
    spec = "pointcloud/render"
    arguments = {"size": 16, "mode": "normals", "of": "mesh"}
    modality = {"use": "pointcloud", "keep_mesh": True}
    cells = [{"cloud": OFF}, {"cloud": OFF.replace(b"1 0 0", b"2 0 0")}, {"cloud": OFF.replace(b"0 1 0", b"0 3 0")}]


class Clips:
    """What a plugin of clips must at least take."""

    name, dtype = "video", torch.float32

    def load(self, cells: Any, root: Path) -> Any:
        raise NotImplementedError

    def collate(self, items: Any) -> torch.Tensor:
        return torch.stack([torch.as_tensor(item) for item in items])

    def preview(self, data: Any) -> dict[str, str]:
        return {"text/plain": str(data.shape)}


class TestTurntable(ViewContract):
    spec = "pointcloud/turntable"
    arguments = {"frames": 3, "size": 8}
    cells = UNLIKE

    def collates(self, name: str) -> Any:
        return Clips() if name == "video" else super().collates(name)


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
