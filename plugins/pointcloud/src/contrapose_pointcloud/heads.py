"""The head of methods whose positives are points."""

from __future__ import annotations

from torch import Tensor

from contrapose.branches.heads import Linear
from contrapose.errors import ConfigError


class Leading(Linear):
    """One linear layer on the first positions of each row alone: those that views of a pair share (`contrapose_pointcloud.pairs`).

    Args:
        dim: width of the input.
        out: width of the output; 32 in PointContrast.
        positions: how many; the views' ``pairs``.
    """

    def __init__(self, dim: int, out: int = 32, positions: int = 256) -> None:
        super().__init__(dim, out)
        self.positions = positions

    def forward(self, x: Tensor) -> Tensor:
        """(n, P, dim) to (n, min(P, positions), out). Raises ``ConfigError`` for rows without positions."""
        if x.ndim != 3:
            raise ConfigError("pairs of points need a row for each point: give the branch such a tap (tap: dense)")
        return super().forward(x[:, : self.positions])
