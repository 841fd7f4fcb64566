"""The encoder: a multi-layer perceptron on numbers, missing masks and one-hot categories."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from contrapose_tabular.inputs import flat, mixed
from contrapose_tabular.schema import FIRST, Schema

Count = Annotated[int, Field(ge=1)]


class MLP(nn.Module):
    """Fully connected layers, each with ReLU: SCARF's f (Bahri et al., 2022), four of 256.

    A number enters as its standardised value, 0 where missing, and a mask that is 1 there; a category one-hot, with places for
    missing and unseen. The first layer's weights of the masks, the missing and the unseen start at 0: what training never
    meets adds nothing. The others start as He et al. (2015) have it, for as many inputs as a row has columns.

    Args:
        schema: of the table, which the modality gives.
        layers: how many linear layers.
        width: of every layer, and so of ``pooled``.
    """

    modality = "tabular"
    offsets: Tensor

    def __init__(self, schema: Schema, layers: Count = 4, width: Count = 256) -> None:
        super().__init__()
        numbers, sizes = len(schema.numeric), [column.size for column in schema.categorical]
        self.places = sum(sizes)
        # The schema makes them again, so a checkpoint needn't hold them.
        self.register_buffer("offsets", torch.tensor([0, *sizes], dtype=torch.int64).cumsum(0)[:-1], persistent=False)
        first = nn.Linear(2 * numbers + self.places, width)
        nn.init.normal_(first.weight, std=math.sqrt(2 / len(schema.columns)))
        with torch.no_grad():
            first.weight[:, numbers : 2 * numbers] = 0
            for code in range(FIRST):
                first.weight[:, 2 * numbers + self.offsets + code] = 0
        rest = [nn.Linear(width, width) for _ in range(layers - 1)]
        for linear in rest:
            nn.init.kaiming_normal_(linear.weight, nonlinearity="relu")
        for linear in (first, *rest):
            nn.init.zeros_(linear.bias)
        self.net = nn.Sequential(*(part for linear in (first, *rest) for part in (linear, nn.ReLU())))
        self.dims: Mapping[str, int] = {"pooled": width}

    def forward(self, data: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """``numeric`` (n, F) with NaN where missing and ``categories`` (n, C) int64 to ``pooled`` (n, width)."""
        return {"pooled": self.net(mixed(data, self._inputs))}

    def _inputs(self, numeric: Tensor, categories: Tensor) -> Tensor:
        one_hot = numeric.new_zeros(len(numeric), self.places).scatter_(1, categories + self.offsets, 1.0)
        return torch.cat([flat(numeric, None), one_hot], 1)
