"""The core's own components under the contracts of plugins, and two modalities that exist in a test alone."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from tests.end_to_end import waves

from contrapose.testing import EncoderContract, LossContract, MixerContract, ModalityContract, ViewContract

ECHOES = [{"echo": (np.cos(pitch * np.linspace(0, 6, 32)) * pitch).astype(np.float32)} for pitch in range(1, 6)]
LOSSES: dict[str, dict[str, Any]] = {
    "nce": {},
    "cosine": {},
    "sigmoid": {},
    "barlow-twins": {},
    "vicreg": {},
    "nuclear-norm": {},
    "squared-length": {},
}


class TestLosses(LossContract):
    specs = LOSSES


class TestMargin(LossContract):
    spec = "margin"
    term = {"similarity": "euclidean", "tau": 1.0}


class TestMaxMargin(LossContract):
    spec = "max-margin"
    detaches = True


class TestMetricLearning(LossContract):
    spec = "metric-learning"
    arguments = {"loss": {"use": "TripletMarginLoss", "margin": 0.5}, "same": "label"}


class TestDecoupledLoss(LossContract):
    spec = "nce"
    arguments = {"denominator": "own"}


class TestHardNegatives(LossContract):
    spec = "nce"
    arguments = {"negatives": "hard"}
    term = {"positives": "same(label) and not self"}


class TestReconstruction(LossContract):
    spec = "reconstruct"
    arguments = {"target": "b", "features": 5}


class TestWave(ModalityContract):
    component = waves.Wave
    broken = [{"wave": "words.txt"}, {"wave": "nowhere.txt"}]

    @property
    def cells(self) -> list[dict[str, str]]:
        (self.folder / "words.txt").write_text("one two three")
        for pitch in range(4):
            numbers = (math.sin(pitch * t / 5) for t in range(32))
            (self.folder / f"{pitch}.txt").write_text(" ".join(f"{x:.5f}" for x in numbers))
        return [{"wave": f"{pitch}.txt"} for pitch in range(4)]


class Echoes:
    modality = waves.Echo
    cells = ECHOES


class TestEcho(Echoes, ModalityContract):
    component = waves.Echo


class TestHiss(Echoes, ViewContract):
    component = waves.hiss


class TestIdentity(Echoes, ViewContract):
    spec = "identity"
    random = False


class TestMix(Echoes, MixerContract):
    spec = "mix"


class TestEchoNet(Echoes, EncoderContract):
    component = waves.echo_net
    arguments = {"width": 8}
