"""COLA's projector."""

from __future__ import annotations

from torch import Tensor, nn

from contrapose_audio.arguments import Count


class Tanh(nn.Module):
    """A linear layer, LayerNorm, and tanh: COLA's projector, as in the authors' code (``network.py``).

    Args:
        dim: width of the input.
        out: width of the output.
    """

    def __init__(self, dim: int, out: Count = 512) -> None:
        super().__init__()
        self.linear = nn.Linear(dim, out)
        self.norm = nn.LayerNorm(out)
        self.out = out

    def forward(self, x: Tensor) -> Tensor:
        """(..., D) to (..., out)."""
        made: Tensor = self.norm(self.linear(x)).tanh()
        return made
