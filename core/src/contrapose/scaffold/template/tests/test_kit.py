"""Every part keeps contrapose's contract: the checks that its own plugins pass."""

import numpy as np
from contrapose.testing import EncoderContract, ModalityContract, ViewContract

GRIDS = [{"grid": np.random.default_rng(seed).normal(size=(8, 8)).tolist()} for seed in range(4)]


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
