"""The audio plugin under the contracts."""

from __future__ import annotations

from typing import Any

import numpy as np
from tests.plugins.audio.sounds import file, noise, tone

from contrapose.testing import EncoderContract, HeadContract, MethodContract, ModalityContract, ViewContract
from contrapose.types import Sample

CELLS = [
    {"sound": file(tone(1.3) + noise(1.3))},
    {"sound": file(np.stack([tone(0.9, 300, 44100), noise(0.9, 1, 44100)]), 44100, "FLAC")},
    {"sound": file(noise(0.4, 2, 8000), 8000, "OGG")},
]
PARTS = {"seconds": 0.5}


class TestAudio(ModalityContract):
    spec = "audio"
    cells = CELLS
    broken = [{"sound": CELLS[0]["sound"][:20]}, {"sound": b""}, {"sound": "nowhere.wav"}, {"sound": 3}]


class TestCrop(ViewContract):
    spec = "audio/crop"
    arguments = PARTS
    cells = CELLS


class TestEvaluation(ViewContract):
    spec = "audio/eval"
    arguments = {**PARTS, "average": 2}
    cells = CELLS
    random = False


class _Heard(ViewContract):
    """Of waves that a view chose already."""

    modality = "audio"
    cells = [{"sound": (noise() + tone())[start : start + 150]} for start in range(0, 600, 200)]

    def loaded(self, rows: Any) -> list[Sample]:
        """Waves (1, samples)."""
        return [Sample(i, {"audio": row["sound"][None]}) for i, row in enumerate(rows)]


class TestLogMel(_Heard):
    spec = "audio/log-mel"
    arguments = {"mel": {"window": 64, "fft": 64, "hop": 32, "mels": 8}}
    random = False


class TestWaves(_Heard):
    specs: dict[str, dict[str, Any]] = {
        f"audio/{name}": {} for name in ("gain", "noise", "fade", "time-mask", "reverb", "speed", "pitch")
    }


class TestMels(ViewContract):
    specs: dict[str, dict[str, Any]] = {f"audio/{name}": {} for name in ("mask", "resize-crop", "fader", "mixup")}
    modality = "audio"
    cells = [{"sound": np.random.default_rng(seed).normal(seed, 2, (1, 8, 6)).astype(np.float32)} for seed in range(3)]

    def loaded(self, rows: Any) -> list[Sample]:
        """Log-mels (1, mels, frames)."""
        return [Sample(i, {"audio": row["sound"]}) for i, row in enumerate(rows)]


class TestNormalise(TestMels):
    specs: dict[str, dict[str, Any]] = {"audio/normalise": {}}
    random = False


class TestEncoders(EncoderContract):
    specs: dict[str, dict[str, Any]] = {"audio/small": {"width": 4}}
    cells = CELLS
    view = {"use": "audio/eval", "seconds": 0.4}


class TestTanh(HeadContract):
    spec = "audio/tanh"


class TestMethods(MethodContract):
    specs: dict[str, dict[str, Any]] = {"audio/cola": {}}
