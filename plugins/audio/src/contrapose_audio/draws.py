"""One function for both forms of a view: a sample with numpy's generator, a batch with torch's."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from contrapose.errors import DataError
from contrapose_audio.recording import Recording

Rng = np.random.Generator | torch.Generator
WAVE, MEL = 2, 3
"""Dimensions of a sample: (C, samples), (C, mels, frames)."""
_KINDS = {WAVE: "a wave (C, samples), as it is before audio/log-mel", MEL: "a log-mel (C, mels, frames)"}


class Draws:
    """Random numbers for ``rows`` samples, of a numpy generator for a single one, else of a torch generator of their device."""

    def __init__(self, rng: Rng, like: Tensor) -> None:
        self.rng, self.rows, self.device = rng, len(like), like.device

    def uniform(self, low: float = 0.0, high: float = 1.0, shape: tuple[int, ...] = ()) -> Tensor:
        """(rows, *shape) float64, uniform from ``low`` to ``high``."""
        size = (self.rows, *shape)
        if isinstance(self.rng, np.random.Generator):
            drawn = torch.from_numpy(self.rng.random(size))
        else:
            drawn = torch.rand(size, generator=self.rng, device=self.device, dtype=torch.float64)
        return low + (high - low) * drawn

    def upto(self, most: Tensor | int) -> Tensor:
        """(rows,) whole numbers from 0 to ``most``, each as likely; int64."""
        return (self.uniform() * (most + 1)).floor().long()

    def normal(self, shape: tuple[int, ...]) -> Tensor:
        """(rows, *shape) float32, standard normal."""
        size = (self.rows, *shape)
        if isinstance(self.rng, np.random.Generator):
            return torch.from_numpy(self.rng.standard_normal(size, dtype=np.float32))
        return torch.randn(size, generator=self.rng, device=self.device)


def as_batch(data: Any, rng: Rng, dimensions: int) -> tuple[Tensor, Draws]:
    """A sample as a batch of one, a batch as it is, float32; what to draw from. Raises ``DataError`` for other data."""
    if isinstance(data, Recording):
        raise DataError("a recording isn't decoded until a view chooses a part of it: begin with audio/crop")
    batch = torch.as_tensor(data).float()
    if isinstance(rng, np.random.Generator):
        batch = batch[None, None] if batch.ndim == dimensions - 1 == 1 else batch[None]
    if batch.ndim != dimensions + 1:
        raise DataError(f"expected {_KINDS[dimensions]}, not {tuple(batch.shape[1:])}")
    return batch, Draws(rng, batch)


def as_given(batch: Tensor, rng: Rng) -> Tensor:
    """The inverse of ``as_batch``: of a sample its only row."""
    return batch[0] if isinstance(rng, np.random.Generator) else batch


def rows(values: Tensor, like: Tensor) -> Tensor:
    """(n,) values in the shape that multiplies (n, C, ...), and in its dtype."""
    return values.to(like.dtype).view(-1, *[1] * (like.ndim - 1))
