"""The heads of MemDPC: a future made of a few remembered states, looked for in both directions of time (Han et al., ECCV 2020)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from contrapose_video.dpc import Cell, check, foretold, orthogonal, split


class Remember(nn.Module):
    """Predict the last ``steps`` blocks from those before, and the first ones from those after, as mixtures of a memory.

    ``MemDPC_BD`` of github.com/TengdaHan/MemDPC, without its dropout: a prediction is the mean of ``slots`` learnt vectors,
    weighted by a softmax of what the context says. Each direction has its own recurrent unit; the memory and the layers that
    address it are shared.

    Args:
        dim: width of the input, of the predictions and of the memory's vectors.
        blocks: how many blocks the places are of.
        steps: how many blocks are predicted at each end.
        slots: how many vectors the memory holds.
    """

    def __init__(self, dim: int, blocks: int = 8, steps: int = 3, slots: int = 1024) -> None:
        super().__init__()
        check(blocks, steps)
        self.blocks, self.steps, self.out = blocks, steps, dim
        self.onwards, self.backwards = Cell(dim), Cell(dim)
        self.address = nn.Sequential(nn.Linear(dim, dim), nn.ReLU(), nn.Linear(dim, slots))
        orthogonal(self, 0.1)
        self.memory = nn.Parameter(torch.randn(slots, dim))

    def forward(self, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """(n, blocks x places, dim) to (n, 2 x steps x places, dim), those that come first, then those that went before.

        The columns are `Ends`'. Raises ``ConfigError`` where these are no blocks.
        """
        blocks = split(x, self.blocks)
        after = foretold(self.onwards, self._recall, blocks[:, : -self.steps], self.steps)
        before = foretold(self.backwards, self._recall, blocks.flip(1)[:, : -self.steps], self.steps)
        return _joined(after, before)

    def _recall(self, context: Tensor) -> Tensor:
        weights: Tensor = self.address(context).softmax(dim=-1)
        return weights @ self.memory


class Ends(nn.Module):
    """The places of the last ``steps`` of ``blocks`` blocks, and of the first ones backwards: what `Remember` predicts.

    Each is a row with the columns ``target``, its number among them, and ``end``: 0 for what comes, 1 for what went before.

    Args:
        dim: width of the input.
        blocks: how many blocks the places are of.
        steps: how many of them each end has.
    """

    def __init__(self, dim: int, blocks: int = 8, steps: int = 3) -> None:
        super().__init__()
        check(blocks, steps)
        self.blocks, self.steps, self.out = blocks, steps, dim

    def forward(self, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """(n, blocks x places, dim) to (n, 2 x steps x places, dim). Raises ``ConfigError`` where these are no blocks."""
        blocks = split(x, self.blocks)
        return _joined(blocks[:, -self.steps :], blocks.flip(1)[:, -self.steps :])


def _joined(after: Tensor, before: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    rows = torch.cat([after, before], dim=1).flatten(1, 2)
    target = torch.arange(rows.shape[1], device=rows.device)
    end = (target >= rows.shape[1] // 2).long()
    return rows, {"target": target.expand(len(rows), -1), "end": end.expand(len(rows), -1)}
