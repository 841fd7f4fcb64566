"""Methods on embeddings that a test writes down: an encoder that returns its data, and no heads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from contrapose import Method
from contrapose.types import Batch, ViewBatch

TAPS = ("pooled", "layer3", "dense")


class Plain(nn.Module):
    """(n, D) for every tap, or (n, taps, D) with one entry for each; times 1, so that there is something to train."""

    def __init__(self, modality: str, dim: int) -> None:
        super().__init__()
        self.modality, self.dims = modality, dict.fromkeys(TAPS, dim)
        self.one = nn.Parameter(torch.ones((), dtype=torch.float64))

    def forward(self, data: Tensor) -> dict[str, Tensor]:
        rows = [data] * len(TAPS) if data.ndim == 2 else data.unbind(1)
        return {tap: self.one * z for tap, z in zip(TAPS, rows, strict=True)}


def on(
    data: Mapping[str, Any], views: Mapping[str, Tensor], missing: Mapping[str, list[int]] | None = None
) -> tuple[Method, Batch]:
    """A method without its heads, and a batch of the given embeddings by view; ``missing``: positions that lack a modality."""
    branches = {n: {**b, "projector": None, "predictor": None} for n, b in data["branches"].items()}
    encoders = {m: Plain(m, z.shape[-1]) for m, z in ((v.partition("/")[0], z) for v, z in views.items())}
    method = Method.from_data({**data, "branches": branches}, encoders).double()
    method.clock.start(steps_per_epoch=10, epochs=3)
    made, count = {}, len(next(iter(views.values())))
    for name, z in views.items():
        modality = name.partition("/")[0]
        gone = (missing or {}).get(modality, ())
        index = torch.tensor([i for i in range(count) if i not in gone], dtype=torch.int64)
        made[name] = ViewBatch(z[index] if len(index) else None, modality, index)
    return method, Batch(torch.arange(count) + 20, made, {"label": torch.arange(count) % 3})


def worth(data: Mapping[str, Any], views: Mapping[str, Tensor]) -> Tensor:
    """The loss of a method on given embeddings."""
    method, batch = on(data, views)
    return method.loss(batch).loss.detach()
