"""Towers of an earlier run as encoders: what ULIP does with a pretrained pair of image and text (Xue et al. 2023, section 3.2)."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

import contrapose as cp
from contrapose import encoder


class Settled(nn.Module):
    """A run's encoder and projector of one modality as one encoder: ``pooled`` is that run's shared space."""

    def __init__(self, modality: str, run: cp.Run) -> None:
        super().__init__()
        self.modality = modality
        self.encoder, self.projector = run.encoder(modality), run.method.towers.projectors[modality]
        self.dims = {"pooled": self.projector.out}

    def forward(self, data: Any) -> dict[str, Tensor]:
        """A batch of the modality to (n, D)."""
        return {"pooled": self.projector(self.encoder(data)["pooled"])}


@encoder("settled")
def settled(modality: str, run: str) -> Settled:
    """The tower of ``modality`` as the run in that folder left it."""
    return Settled(modality, cp.load(run))
