"""The transformer for tables of Gorishniy et al., with the authors' embeddings of numbers."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from contrapose.errors import ConfigError
from contrapose_tabular.inputs import Categories, mixed
from contrapose_tabular.resnet import Count, Dropout, library
from contrapose_tabular.schema import Schema

Numbers = Literal["linear", "periodic", "piecewise"]


class Tokens(nn.Module):
    """A row to a vector a column, numbers first: (n, F + C, width).

    A missing number is a vector of its column's own; it starts at 0, as those of missing and unseen categories do.
    """

    def __init__(self, schema: Schema, width: int, numbers: Numbers) -> None:
        super().__init__()
        bound = width**-0.5
        self.numbers = _numbers(schema, width, numbers) if schema.numeric else None
        self.missing = nn.Parameter(torch.zeros(len(schema.numeric), width)) if schema.numeric else None
        self.categories = Categories(schema, width) if schema.categorical else None
        words = torch.empty(len(schema.categorical), width).uniform_(-bound, bound) if schema.categorical else None
        self.column = None if words is None else nn.Parameter(words)

    def forward(self, numeric: Tensor, codes: Tensor) -> Tensor:
        """``numeric`` (n, F) with NaN where missing and ``codes`` (n, C) int64."""
        parts = []
        if self.numbers is not None:
            missing = numeric.isnan()
            made = self.numbers(numeric.masked_fill(missing, 0))
            parts.append(torch.where(missing[..., None], self.missing.to(made.dtype), made))  # type: ignore[union-attr]
        if self.categories is not None:
            parts.append(self.categories(codes) + self.column)
        return torch.cat(parts, 1)


class FTTransformer(nn.Module):
    """Self-attention among a row's columns (Gorishniy et al., NeurIPS 2021, arXiv:2106.11959, section 3.3), by the authors' blocks.

    ``pooled`` is the normalised state of the class token. With ``dense`` there are also ``dense``, that of each column, numbers
    first, and ``flat``, the class token's and all columns' one after the other, each of unit length, which SAINT's heads read.

    Args:
        schema: of the table, which the modality gives.
        layers: how many blocks.
        width: of a token, a multiple of ``heads``, and so of ``pooled``.
        heads: of the attention, whose matrices grow with the square of the columns.
        numbers: how a number is embedded: ``linear``, as in the paper; ``periodic``; or ``piecewise``, linear between
        quantiles of the
            training split (Gorishniy et al., NeurIPS 2022, arXiv:2203.05556; version B of their library).
        dense: give the columns' states too.
        attention_dropout: of the attention's weights.
        dropout: inside the feed-forward layers.

    Raises ``ConfigError`` where rtdl_revisiting_models or rtdl_num_embeddings isn't installed.
    """

    modality = "tabular"

    def __init__(
        self,
        schema: Schema,
        layers: Count = 3,
        width: Count = 192,
        heads: Count = 8,
        numbers: Numbers = "linear",
        dense: bool = False,
        attention_dropout: Dropout = 0.2,
        dropout: Dropout = 0.1,
    ) -> None:
        super().__init__()
        if width % heads:
            raise ConfigError(f"is a multiple of heads, {heads}, not {width}", ("width",))
        self.tokens = Tokens(schema, width, numbers)
        self.first = nn.Parameter(torch.empty(width).uniform_(-(width**-0.5), width**-0.5))
        self.backbone = library("rtdl_revisiting_models").FTTransformerBackbone(
            d_out=None,
            n_blocks=layers,
            d_block=width,
            attention_n_heads=heads,
            attention_dropout=attention_dropout,
            ffn_d_hidden_multiplier=4 / 3,
            ffn_dropout=dropout,
            residual_dropout=0.0,
        )
        self.norm = nn.LayerNorm(width)
        self.dense = dense
        columns = len(schema.columns)
        more = {"dense": width, "flat": (1 + columns) * width} if dense else {}
        self.dims: Mapping[str, int] = {"pooled": width, **more}

    def forward(self, data: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """``numeric`` (n, F) and ``categories`` (n, C) to ``pooled`` (n, width), ``dense`` (n, F + C, width), ``flat``."""
        tokens = mixed(data, self.tokens)
        x = torch.cat([self.first.to(tokens.dtype).expand(len(tokens), 1, -1), tokens], 1)
        if not self.dense:
            return {"pooled": self.norm(self.backbone(x))}
        for block in self.backbone.blocks:  # the backbone itself gives the class token alone
            normed = block["attention_normalization"](x) if "attention_normalization" in block else x
            x = x + block["attention_residual_dropout"](block["attention"](normed, normed))
            x = x + block["ffn_residual_dropout"](block["ffn"](block["ffn_normalization"](x)))
        x = self.norm(x)
        return {"pooled": x[:, 0], "dense": x[:, 1:], "flat": F.normalize(x, dim=-1).flatten(1)}


def _numbers(schema: Schema, width: int, kind: Numbers) -> Any:
    made = library("rtdl_num_embeddings")
    count = len(schema.numeric)
    if kind == "linear":
        return made.LinearEmbeddings(count, width)
    if kind == "periodic":
        return made.PeriodicEmbeddings(count, width, lite=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a column of two values has one bin
        return made.PiecewiseLinearEmbeddings(bins(schema), width, activation=False, version="B")


def bins(schema: Schema) -> list[Tensor]:
    """The edges of each column of numbers: its distinct quantiles in the training split, standardised; a lone one has a bin
    above it.

    Raises ``ConfigError`` for a schema that was fitted before there were any.
    """
    edges = []
    for column in schema.numeric:
        if not column.quantiles:
            raise ConfigError(
                f"column {column.name!r} has no quantiles: the schema is of an older version", ("numbers",)
            )
        found = torch.tensor(column.quantiles, dtype=torch.float32).unique()
        edges.append(found if len(found) > 1 else torch.cat([found, found + 1]))
    return edges
