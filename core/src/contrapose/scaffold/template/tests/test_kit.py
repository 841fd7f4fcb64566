"""Every part keeps contrapose's contract: the checks that its own plugins pass."""

from pathlib import Path

import numpy as np
from contrapose.testing import (
    EncoderContract,
    MethodContract,
    ModalityContract,
    PluginContract,
    ReaderContract,
    ViewContract,
)

GRIDS = [{"grid": np.random.default_rng(seed).normal(size=(8, 8)).tolist()} for seed in range(4)]
RECORDING = Path(__file__).parents[1] / "data" / "recording.npz"


class TestPlugin(PluginContract):
    plugin = "my_modality"


class TestModality(ModalityContract):
    spec = "my_modality/my_modality"
    cells = GRIDS
    broken = [{"grid": "gone.npy"}, {"grid": b"no grid"}, {"grid": [1.0, 2.0]}]


class TestDrift(ViewContract):
    spec = "my_modality/drift"
    cells = GRIDS


class TestSmall(EncoderContract):
    spec = "my_modality/small"
    cells = GRIDS


class TestRecording(ReaderContract):
    spec = "my_modality/recording"
    arguments = {"path": str(RECORDING)}
    modalities = {"my_modality": "my_modality"}


class TestContrast(MethodContract):
    spec = "my_modality/contrast"
    published = False
