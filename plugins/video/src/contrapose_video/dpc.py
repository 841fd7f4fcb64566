"""The heads of DPC: what was seen predicts, place by place, what comes (Han, Xie and Zisserman, ICCV Workshops 2019)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from contrapose.errors import ConfigError


class Future(nn.Module):
    """The places of the last ``steps`` of ``blocks`` blocks, as they are: what is to be predicted.

    Each is a row with the column ``target``: its number among them, time by time.

    Args:
        dim: width of the input.
        blocks: how many blocks the places are of.
        steps: how many of them are the future.
    """

    def __init__(self, dim: int, blocks: int = 8, steps: int = 3) -> None:
        super().__init__()
        check(blocks, steps)
        self.blocks, self.steps, self.out = blocks, steps, dim

    def forward(self, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """(n, blocks x places, dim) to (n, steps x places, dim). Raises ``ConfigError`` where these are no blocks."""
        ahead = split(x, self.blocks)[:, -self.steps :].flatten(1, 2)
        return ahead, _numbered(ahead)


class Predict(nn.Module):
    """Sum up all but the last ``steps`` blocks in a convolutional GRU of kernel 1, and predict these one after the other.

    ``DPC_RNN`` of github.com/TengdaHan/DPC, without its dropout: the context's prediction goes through a ReLU into the GRU as if it
    were the next block. Rows have the column ``target``, as `Future`'s have.

    Args:
        dim: width of the input, and of the predictions.
        blocks: how many blocks the places are of.
        steps: how many blocks are predicted.
    """

    def __init__(self, dim: int, blocks: int = 8, steps: int = 3) -> None:
        super().__init__()
        check(blocks, steps)
        self.blocks, self.steps, self.out = blocks, steps, dim
        self.cell = Cell(dim)
        self.predict = nn.Sequential(nn.Linear(dim, dim), nn.ReLU(), nn.Linear(dim, dim))
        orthogonal(self, 1.0)

    def forward(self, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """(n, blocks x places, dim) to (n, steps x places, dim). Raises ``ConfigError`` where these are no blocks."""
        seen = split(x, self.blocks)[:, : -self.steps]
        ahead = foretold(self.cell, self.predict, seen, self.steps).flatten(1, 2)
        return ahead, _numbered(ahead)


class Cell(nn.Module):
    """A gated recurrent unit of kernel 1, place by place: DPC's ``ConvGRUCell``."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.update, self.reset, self.new = (nn.Linear(2 * dim, dim) for _ in range(3))

    def forward(self, x: Tensor, hidden: Tensor) -> Tensor:
        """(..., dim) and the state (..., dim) to the next state."""
        both = torch.cat([x, hidden], dim=-1)
        update, reset = self.update(both).sigmoid(), self.reset(both).sigmoid()
        new = self.new(torch.cat([x, hidden * reset], dim=-1)).tanh()
        return hidden * (1 - update) + new * update


def foretold(cell: nn.Module, predict: Callable[[Tensor], Tensor], seen: Tensor, steps: int) -> Tensor:
    """Blocks (n, T, places, dim) summed up, then ``steps`` of them predicted, each fed back as if seen: (n, steps, places, dim)."""
    hidden = torch.zeros_like(seen[:, 0])
    for block in seen.relu().unbind(dim=1):
        hidden = cell(block, hidden)
    made = []
    for _ in range(steps):
        made.append(predict(hidden))
        hidden = cell(made[-1].relu(), hidden)
    return torch.stack(made, dim=1)


def orthogonal(module: nn.Module, gain: float) -> None:
    """The authors' initial weights: orthogonal, and no bias."""
    for name, parameter in module.named_parameters():
        nn.init.zeros_(parameter) if name.endswith("bias") else nn.init.orthogonal_(parameter, gain)


def check(blocks: int, steps: int) -> None:
    """Raises ``ConfigError`` where so many blocks don't have so many to be predicted."""
    if not 1 <= steps < blocks:
        raise ConfigError(f"predicts at least 1 and fewer than {blocks} blocks, not {steps}", ("steps",))


def split(x: Tensor, blocks: int) -> Tensor:
    """(n, blocks x places, dim) to (n, blocks, places, dim). Raises ``ConfigError`` where these are no blocks."""
    if x.ndim != 3 or x.shape[1] % blocks:
        shape = "no places" if x.ndim != 3 else f"{x.shape[1]} places"
        raise ConfigError(f"{shape} aren't those of {blocks} blocks: use the encoder video/blocks, and tap: dense")
    return x.unflatten(1, (blocks, -1))


def _numbered(ahead: Tensor) -> dict[str, Tensor]:
    return {"target": torch.arange(ahead.shape[1], device=ahead.device).expand(len(ahead), -1)}
