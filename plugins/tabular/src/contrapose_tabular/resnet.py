"""The residual network for tables of Gorishniy et al., as the authors' library has it."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor, nn

from contrapose.errors import ConfigError
from contrapose_tabular.inputs import Categories, flat, mixed
from contrapose_tabular.schema import Schema

Count = Annotated[int, Field(ge=1)]
Dropout = Annotated[float, Field(ge=0, lt=1)]


class ResNet(nn.Module):
    """Residual blocks of BatchNorm, a wider layer and back (Gorishniy et al., NeurIPS 2021, arXiv:2106.11959, section 3.2).

    A number enters as its standardised value, 0 where missing, and a mask that is 1 there; a category as a vector that is learnt.
    ``pooled`` is what the paper's prediction reads: BatchNorm and ReLU of the last block.

    Args:
        schema: of the table, which the modality gives.
        layers: how many blocks.
        width: of a block, and so of ``pooled``.
        hidden: times as wide a block is inside.
        categories: width of a category's vector.
        dropout: inside a block.

    Raises ``ConfigError`` where rtdl_revisiting_models isn't installed.
    """

    modality = "tabular"

    def __init__(
        self,
        schema: Schema,
        layers: Count = 2,
        width: Count = 192,
        hidden: Annotated[float, Field(ge=1)] = 2.0,
        categories: Count = 16,
        dropout: Dropout = 0.15,
    ) -> None:
        super().__init__()
        numbers, words = len(schema.numeric), len(schema.categorical)
        self.categories = Categories(schema, categories) if words else None
        self.net = library("rtdl_revisiting_models").ResNet(
            d_in=2 * numbers + words * categories,
            d_out=None,
            n_blocks=layers,
            d_block=width,
            d_hidden_multiplier=hidden,
            dropout1=dropout,
            dropout2=0.0,
        )
        with torch.no_grad():
            self.net.input_projection.weight[:, numbers : 2 * numbers] = 0
        self.last = nn.Sequential(nn.BatchNorm1d(width), nn.ReLU())
        self.dims: Mapping[str, int] = {"pooled": width}

    def forward(self, data: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """``numeric`` (n, F) with NaN where missing and ``categories`` (n, C) int64 to ``pooled`` (n, width)."""
        x = mixed(data, self._inputs)
        if len(x):
            return {"pooled": self._pooled(x)}
        training = self.training  # no rows have no statistics
        made = self.eval()._pooled(torch.cat([x, x.new_zeros(1, x.shape[1])]))
        self.train(training)
        return {"pooled": made[:0]}

    def _inputs(self, numeric: Tensor, codes: Tensor) -> Tensor:
        return flat(numeric, None if self.categories is None else self.categories(codes))

    def _pooled(self, x: Tensor) -> Tensor:
        made: Tensor = self.last(self.net(x))
        return made


def library(name: str) -> Any:
    """One of the authors' libraries. Raises ``ConfigError`` saying what to install."""
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        raise ConfigError(f"needs {name}: pip install 'contrapose-tabular[rtdl]'") from None
