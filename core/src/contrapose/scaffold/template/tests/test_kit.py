"""Every part keeps contrapose's contract: the checks that its own plugins pass."""

from pathlib import Path
from typing import Any

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
    broken = [{"grid": "gone.npy"}, {"grid": b"no grid"}, {"grid": b"PK\x03\x04"}, {"grid": [1.0, 2.0]}]


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

    @property
    def damaged(self) -> list[dict[str, Any]]:
        whole = RECORDING.read_bytes()
        (self.folder / "cut.npz").write_bytes(whole[:3000])
        (self.folder / "flipped.npz").write_bytes(whole[:3000] + bytes(99) + whole[3099:])
        (self.folder / "table.npz").write_text("no recording")
        return [{"path": str(self.folder / name)} for name in ("cut.npz", "flipped.npz", "table.npz", "gone.npz")]


class TestContrast(MethodContract):
    spec = "my_modality/contrast"
    published = False
