"""The image plugin under the contracts."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image as Picture

from contrapose.testing import EncoderContract, ModalityContract, ViewContract


def picture(width: int, height: int, kind: str = "PNG", mode: str = "RGB") -> bytes:
    """A picture file with all hues, a slope, an edge, and grain: a slope alone is what a blur leaves as it is."""
    y, x = np.mgrid[:height, :width]
    pixels = np.stack([x * 3, y * 4, (x + y) * 2], axis=2).astype(np.uint8)
    pixels[height // 3 : height // 2, width // 3 : width // 2] = (230, 10, 60)
    pixels += np.random.default_rng(0).integers(24, size=pixels.shape, dtype=np.uint8)
    file = io.BytesIO()
    Picture.fromarray(pixels).convert(mode).save(file, kind)
    return file.getvalue()


UNLIKE = [
    {"icon": picture(40, 30)},
    {"icon": picture(64, 64, "JPEG")},
    {"icon": picture(33, 90, "WEBP")},
    {"icon": picture(50, 50, mode="L")},
    {"icon": picture(36, 36, "GIF", mode="P")},
]
ALIKE = [{"icon": picture(40, 40, mode=mode)} for mode in ("RGB", "L", "P")]
SMALL = {"use": "image/eval", "size": 32}
RECIPES: dict[str, dict[str, Any]] = {
    f"image/{name}": {"size": 32}
    for name in (
        "simclr",
        "simclr-cifar",
        "moco-v1",
        "moco-v2",
        "byol-a",
        "byol-b",
        "moco-v3-a",
        "moco-v3-b",
        "crosspoint",
        "random-resized-crop",
    )
} | {
    f"image/{name}": {"size": 24}
    for name in ("swav-global", "swav-local", "dino-global-1", "dino-global-2", "dino-local")
}
STEPS: dict[str, dict[str, Any]] = {
    f"image/{name}": {} for name in ("flip", "color-jitter", "grayscale", "blur", "solarize")
}
FIXED: dict[str, dict[str, Any]] = {"image/eval": {"size": 32}, "image/resize": {"size": 32}}
ENCODERS: dict[str, dict[str, Any]] = {
    "image/small": {"width": 8},
    "image/resnet18": {},
    "image/resnet34": {},
    "image/resnet50": {},
    "image/vit-tiny": {"size": 32, "patch": 8},
    "image/vit-small": {"size": 32, "patch": 16},
    "image/torchvision": {"name": "shufflenet_v2_x0_5"},
}


class TestImage(ModalityContract):
    spec = "image"
    cells = UNLIKE
    broken = [{"icon": picture(40, 30)[:90]}, {"icon": b""}, {"icon": "nowhere.png"}, {"icon": 3}]
    view = SMALL


class TestRecipes(ViewContract):
    specs = RECIPES
    cells = UNLIKE
    alike = ALIKE


class TestSteps(ViewContract):
    specs = STEPS
    cells = ALIKE


class TestContrastiveCrop(ViewContract):
    spec = "image/contrastive-crop"
    arguments = {"size": 32}
    cells = UNLIKE


class TestJigsaw(ViewContract):
    spec = "image/jigsaw"
    arguments = {"size": 48, "tile": 14}
    cells = UNLIKE


class TestLab(ViewContract):
    spec = "image/lab"
    arguments = {"size": 24}
    cells = UNLIKE


class TestTorchvision(ViewContract):
    spec = "image/torchvision"
    arguments = {"transform": {"use": "RandomPerspective", "distortion_scale": 0.3, "p": 1.0}}
    cells = ALIKE


class TestAlbumentations(ViewContract):
    spec = "image/albumentations"
    cells = ALIKE

    @property
    def arguments(self) -> dict[str, Any]:
        reason = "albumentations isn't installed: pip install contrapose-image[albumentations]"
        pytest.importorskip("albumentations", reason=reason)
        return {"transform": {"use": "GridDistortion", "num_steps": 4, "p": 1.0}}


class TestFixedViews(ViewContract):
    specs = FIXED
    cells = UNLIKE
    alike = ALIKE
    random = False


class TestEncoders(EncoderContract):
    specs = ENCODERS
    cells = UNLIKE[:3]
    view = SMALL


class TestTimm(EncoderContract):
    spec = "image/timm"
    cells = UNLIKE[:3]
    view = SMALL

    @property
    def arguments(self) -> dict[str, Any]:
        pytest.importorskip("timm", reason="timm isn't installed: pip install contrapose-image[timm]")
        return {"name": "test_vit", "size": 32}
