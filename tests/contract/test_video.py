"""The video plugin under the contracts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.plugins.video.films import film

from contrapose.testing import (
    EncoderContract,
    HeadContract,
    LossContract,
    MethodContract,
    MixerContract,
    ModalityContract,
    ViewContract,
)
from contrapose.types import Sample


def grainy(frames: int, height: int, width: int, seed: int) -> Any:
    """Frames with an edge and grain, which move."""
    rng = np.random.default_rng(seed)
    made = np.zeros((frames, height, width, 3), np.uint8)
    made += rng.integers(100, size=(1, height, width, 3), dtype=np.uint8)
    for i in range(frames):
        made[i, height // 4 : height // 2, i % (width // 2) : i % (width // 2) + width // 3] = (200, 30 + 5 * seed, 90)
    return made


CELLS = [
    {"clip": film(grainy(20, 32, 48, 1), fps=10)},
    {"clip": film(grainy(13, 48, 32, 2), fps=5, codec="libx264")},
    {"clip": film(grainy(9, 32, 32, 3), fps=25, kind="matroska")},
]


class TestVideo(ModalityContract):
    spec = "video"
    cells = CELLS
    broken = [{"clip": CELLS[0]["clip"][:200]}, {"clip": b""}, {"clip": "nowhere.mp4"}, {"clip": 3}]
    view = {"use": "video/eval", "frames": 4, "size": 32}


class TestClip(ViewContract):
    spec = "video/clip"
    arguments = {"frames": 4, "stride": 1}
    cells = [{"clip": film(grainy(frames, 32, 32, frames))} for frames in (20, 13, 9)]


class TestSamplers(ViewContract):
    specs: dict[str, dict[str, Any]] = {
        f"video/{name}": {"frames": 2, "stride": 1, "side": 32, "size": 16, "then": "video/crop"}
        for name in ("cvrl", "rho", "neighbours", "pace", "streams")
    }
    cells = CELLS


class TestEvaluation(ViewContract):
    spec = "video/eval"
    arguments = {"frames": 4, "size": 32, "average": 3}
    cells = CELLS
    random = False


class TestFrames(ViewContract):
    specs: dict[str, dict[str, Any]] = {
        "video/frames": {"view": "image/random-resized-crop", "size": 16},
        "video/crop": {"size": 16},
    }
    modality = "video"
    cells = [{"clip": grainy(5, 32, 40, seed)} for seed in range(3)]

    def loaded(self, rows: Any) -> list[Sample]:
        """Frames that are chosen already, as a sampler gives them."""
        return [Sample(i, {"video": row["clip"]}) for i, row in enumerate(rows)]


class TestFlow(ViewContract):
    spec = "video/flow"
    modality = "video"
    cells = TestFrames.cells
    loaded = TestFrames.loaded
    random = False

    @property
    def arguments(self) -> dict[str, Any]:
        pytest.importorskip("cv2", reason="OpenCV isn't installed: pip install 'contrapose-video[opencv]'")
        return {}


class TestFame(MixerContract):
    spec = "video/fame"
    cells = [{"clip": film(grainy(frames, 32, 32, frames))} for frames in (20, 13, 9)]
    view = {"use": "video/eval", "frames": 4, "size": 32}


ENCODERS: dict[str, dict[str, Any]] = {
    "video/small": {"width": 4},
    "video/blocks": {"blocks": 2, "encoder": {"use": "video/small", "width": 4}},
}


class TestEncoders(EncoderContract):
    specs = ENCODERS
    cells = CELLS
    view = {"use": "video/eval", "frames": 4, "size": 32}


class TestTorchvision(EncoderContract):
    spec = "video/torchvision"
    arguments = {"name": "mc3_18"}
    cells = CELLS
    view = {"use": "video/eval", "frames": 4, "size": 32}


class TestVideoMAE(EncoderContract):
    spec = "video/videomae"
    cells = CELLS
    view = {"use": "video/eval", "frames": 4, "size": 32}

    @property
    def arguments(self) -> dict[str, Any]:
        pytest.importorskip("transformers", reason="pip install 'contrapose-video[transformers]'")
        small = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 24}
        return {"config": {"image_size": 32, "num_frames": 4, **small}}


class TestPredict(HeadContract):
    spec = "video/predict"
    arguments = {"blocks": 4, "steps": 2}
    places = 8


class TestFuture(HeadContract):
    spec = "video/future"
    arguments = {"blocks": 4, "steps": 2}
    places = 8


class TestRemember(HeadContract):
    spec = "video/remember"
    arguments = {"blocks": 4, "steps": 2, "slots": 8}
    places = 8


class TestEnds(HeadContract):
    spec = "video/ends"
    arguments = {"blocks": 4, "steps": 2}
    places = 8


class TestClassify(LossContract):
    spec = "video/classify"
    arguments = {"column": "label", "classes": 3}


class TestMethods(MethodContract):
    specs: dict[str, dict[str, Any]] = {
        "video/cvrl": {},
        "video/rho-moco": {"clips": 2},
        "video/rho-byol": {},
    }


class TestFamesMethod(MethodContract):
    spec = "video/fame"
    arguments = {"views": {"fused": {"use": "mix", "of": "a"}}}  # the kit's rows are no clips


class TestPace(MethodContract):
    spec = "video/pace"
    arguments = {"terms": {"pace": {"loss": {"column": "label", "classes": 16}}}}  # the kit's rows have no pace


class TestDpc(MethodContract):
    spec = "video/dpc"
    arguments = {"blocks": 3, "steps": 1}


class TestMemDpc(MethodContract):
    spec = "video/memdpc"
    arguments = {"blocks": 3, "steps": 1}


class TestTwoStream(MethodContract):
    spec = "video/two-stream"
    arguments = {"size": 6, "top": 2}


class TestPairs(MethodContract):
    specs: dict[str, dict[str, Any]] = {"video/video-clip": {}, "video/video-audio": {}}
