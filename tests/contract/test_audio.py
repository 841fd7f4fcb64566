"""The audio plugin under the contracts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.plugins.audio.sounds import file, noise, tone

from contrapose.testing import (
    EncoderContract,
    HeadContract,
    LossContract,
    MethodContract,
    ModalityContract,
    SourceContract,
    ViewContract,
)
from contrapose.types import Sample

CELLS = [
    {"sound": file(tone(1.3) + noise(1.3))},
    {"sound": file(np.stack([tone(0.9, 300, 44100), noise(0.9, 1, 44100)]), 44100, "FLAC")},
    {"sound": file(noise(0.4, 2, 8000), 8000, "OGG")},
]
PARTS = {"seconds": 0.5}
SMALL: dict[str, Any] = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
HTSAT = {
    "spec_size": 128,
    "window_size": 4,
    "depths": [1, 1],
    "num_attention_heads": [2, 2],
    "patch_embeds_hidden_size": 8,
}
WAV2VEC2 = SMALL | {"conv_dim": [8] * 7, "num_conv_pos_embeddings": 4, "num_conv_pos_embedding_groups": 2}


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


class TestPublished(TestEncoders):
    specs: dict[str, dict[str, Any]] = {
        "audio/byol-a": {"width": 48, "hidden": 8, "maps": 2},
        "audio/htsat": {"config": HTSAT},
        "audio/ast": {"config": SMALL | {"num_mel_bins": 64, "max_length": 38}},
    }


class TestWaveEncoders(EncoderContract):
    specs: dict[str, dict[str, Any]] = {
        "audio/cpc": {"width": 8},
        "audio/wav2vec2": {"config": WAV2VEC2},
    }
    cells = CELLS
    view = {"use": "audio/crop", "seconds": 0.2}


class TestMasked(TestWaveEncoders):
    specs: dict[str, dict[str, Any]] = {
        "audio/wav2vec2": {"config": WAV2VEC2, "mask": 0.065, "span": 3, "feature_gradient": 0.1}
    }


@pytest.mark.slow
class TestTorchvision(TestEncoders):
    specs: dict[str, dict[str, Any]] = {"audio/torchvision": {}}


class TestTanh(HeadContract):
    spec = "audio/tanh"


class TestMethods(MethodContract):
    specs: dict[str, dict[str, Any]] = {f"audio/{name}": {} for name in ("cola", "byol-a", "clar", "wav2vec2")}


class TestClap(MethodContract):
    spec = "audio/clap"
    views = 1


class TestForecasts(MethodContract):
    spec = "audio/cpc-audio"
    arguments = {"steps": 1, "negatives": 4}


class TestQuantiser(SourceContract):
    spec = "audio/quantiser"
    arguments = {"of": "key", "entries": 2, "width": 4, "out": 4}
    tables = ("", "logits")


class TestCandidates(SourceContract):
    spec = "audio/candidates"
    arguments = {"of": "key", "query": "query", "count": 3}


class TestDiversity(LossContract):
    spec = "audio/diversity"


class TestPair(ViewContract):
    spec = "audio/pair"
    arguments = {**PARTS, "each": ["audio/gain", "audio/log-mel"]}
    cells = CELLS
