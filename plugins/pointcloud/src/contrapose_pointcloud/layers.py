"""What the encoders of point clouds share."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from contrapose.errors import DataError

Count = Annotated[int, Field(ge=1)]
Channels = Annotated[int, Field(ge=3)]
Width = Annotated[float, Field(gt=0)]
Length = Annotated[float, Field(gt=0)]


class PointLayer(nn.Module):
    """Linear, BatchNorm and LeakyReLU on every point alone."""

    def __init__(self, inputs: int, outputs: int, slope: float = 0.0) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, outputs, bias=False)
        self.norm = nn.BatchNorm1d(outputs)
        self.slope = slope

    def forward(self, x: Tensor) -> Tensor:
        """(..., inputs) to (..., outputs)."""
        flat = self.linear(x).flatten(0, -2)
        return F.leaky_relu(self.norm(flat), self.slope).unflatten(0, x.shape[:-1])


def point_layers(*sizes: int) -> nn.Sequential:
    """A ``PointLayer`` with ReLU from each of the sizes to the next."""
    return nn.Sequential(*(PointLayer(i, o) for i, o in pairwise(sizes)))


def scaled(channels: int, width: float) -> int:
    """The channels times ``width``, rounded to a multiple of 8."""
    return max(8, round(channels * width / 8) * 8)


def columns(data: Tensor, channels: int) -> Tensor:
    """The first ``channels`` columns of data (n, P, 3 + C). Raises DataError where it has fewer."""
    if data.shape[-1] < channels:
        raise DataError(f"the encoder reads {channels} columns of each point, but the clouds have {data.shape[-1]}")
    return data[..., :channels]
