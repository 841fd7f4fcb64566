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
    cells = [{"sound": noise(0.1, seed) + tone(0.1, 200 * (seed + 1))} for seed in range(3)]

    def loaded(self, rows: Any) -> list[Sample]:
        """Waves (1, samples)."""
        return [Sample(i, {"audio": row["sound"][None]}) for i, row in enumerate(rows)]


class TestLogMel(_Heard):
    spec = "audio/log-mel"
    random = False


class TestEncoders(EncoderContract):
    specs: dict[str, dict[str, Any]] = {"audio/small": {"width": 4}}
    cells = CELLS
    view = {"use": "audio/eval", "seconds": 0.4}


class TestTanh(HeadContract):
    spec = "audio/tanh"


class TestMethods(MethodContract):
    specs: dict[str, dict[str, Any]] = {"audio/cola": {}}
