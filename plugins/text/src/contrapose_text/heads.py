"""Heads."""

from __future__ import annotations

from torch import Tensor, nn


class Pooler(nn.Module):
    """A linear layer and tanh: BERT's pooler, which SimCSE trains with and leaves out afterwards (Gao et al., 2021, section 6.3).

    Args:
        dim: width of the input.
        out: width of the output; that of the input where it is None.
    """

    def __init__(self, dim: int, out: int | None = None) -> None:
        super().__init__()
        self.out = out or dim
        self.layer = nn.Linear(dim, self.out)

    def forward(self, x: Tensor) -> Tensor:
        """(..., dim) to (..., out)."""
        pooled: Tensor = self.layer(x).tanh()
        return pooled
