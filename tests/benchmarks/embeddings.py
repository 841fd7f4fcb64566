"""Our side of the loss benchmarks: the very path of a run, ``Method.loss``, with encoders that hand embeddings through."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from contrapose import Batch, Method, ViewBatch
from contrapose.losses.engine import Engine
from tests.benchmarks.harness import LossOf

AUTO = Engine()


class Handover(nn.Module):
    """An encoder (n, D) -> (n, D) that does nothing."""

    def __init__(self, modality: str, dim: int) -> None:
        super().__init__()
        self.modality, self.dims = modality, {"pooled": dim}

    def forward(self, data: Tensor) -> dict[str, Tensor]:
        """The data."""
        return {"pooled": data}


def loss_of(
    method: Mapping[str, Any],
    views: Sequence[str],
    dim: int,
    engine: Engine = AUTO,
    meta: Mapping[str, Tensor] | None = None,
) -> LossOf:
    """The loss of embeddings (B, D), one tensor a view, by a method given as data; ``meta`` columns (B,) of the samples.

    A view may have fewer rows than others: they are those of the first samples.
    """
    modalities = sorted({v.partition("/")[0] for v in views})
    built = Method.from_data(method, {m: Handover(m, dim) for m in modalities})
    built.engine = engine

    def loss(inputs: Sequence[Tensor]) -> Tensor:
        rows = torch.arange(max(len(z) for z in inputs), device=inputs[0].device)
        seen = {v: ViewBatch(z, v.partition("/")[0], rows[: len(z)]) for v, z in zip(views, inputs, strict=True)}
        return built.loss(Batch(rows, seen, dict(meta or {}))).loss

    return loss
