"""Projectors and predictors: (n, D) to (n, D'), or (n, P, D) to (n, P, D') with every position on its own."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Literal

import torch
from torch import Tensor, nn


class MLP(nn.Module):
    """Linear layers with BatchNorm and ReLU between them.

    SimCLR's projector has one hidden layer, SimCLR v2's and MoCo v3's two. ``layers=1`` is a linear map.

    Args:
        dim: width of the input.
        out: width of the output.
        hidden: width of the hidden layers; that of the input where it is None.
        layers: how many linear layers.
        norm: ``batch`` normalisation before each ReLU, or ``none`` (MoCo v2, DINO).
        last: normalisation of the output: ``none``, ``batch``, or ``plain`` without a learnt scale and shift (SimSiam).
        activation: ``relu`` or ``gelu`` (DINO).
        bias: of the last layer, where no normalisation follows it; a layer before a BatchNorm has none.
    """

    def __init__(
        self,
        dim: int,
        out: int = 128,
        hidden: int | None = None,
        layers: int = 2,
        norm: Literal["batch", "none"] = "batch",
        last: Literal["none", "batch", "plain"] = "none",
        activation: Literal["relu", "gelu"] = "relu",
        bias: bool = True,
    ) -> None:
        super().__init__()
        widths = [dim, *[hidden or dim] * (layers - 1), out]
        parts: list[nn.Module] = []
        for n, (a, b) in enumerate(pairwise(widths)):
            inner = n < layers - 1
            normed = norm == "batch" if inner else last != "none"
            parts.append(nn.Linear(a, b, bias=not normed and (inner or bias)))
            if normed:
                parts.append(nn.BatchNorm1d(b, affine=inner or last == "batch"))
            if inner:
                parts.append(nn.ReLU(inplace=True) if activation == "relu" else nn.GELU())
        self.net = nn.Sequential(*parts)
        self.out = out

    def forward(self, x: Tensor) -> Tensor:
        """See the module's docstring."""
        return self.net(x.flatten(0, -2)).unflatten(0, x.shape[:-1])


class Linear(MLP):
    """One linear layer."""

    def __init__(self, dim: int, out: int = 128, bias: bool = True) -> None:
        super().__init__(dim, out, layers=1, bias=bias)


class Slice(nn.Module):
    """The first ``out`` entries: DirectCLR's projector (Jing et al. 2022)."""

    def __init__(self, dim: int, out: int = 360) -> None:
        super().__init__()
        self.out = min(out, dim)

    def forward(self, x: Tensor) -> Tensor:
        """(..., D) to (..., out)."""
        return x[..., : self.out]


def run(head: nn.Module | None, x: Tensor, width: int) -> Tensor:
    """A head on any number of rows; none passes them through."""
    if head is None:
        return x
    if not len(x):
        return x.new_zeros(0, width) + touch(head) + x.sum()
    return lone(head, x) if x.flatten(0, -2).shape[0] == 1 else head(x)


def lone(module: nn.Module, *args: Any) -> Any:
    """A forward pass with BatchNorm's running statistics: those of one row are no statistics."""
    norms = [m for m in module.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm) and m.training]
    for m in norms:
        m.eval()
    try:
        return module(*args)
    finally:
        for m in norms:
            m.train()


def touch(module: nn.Module) -> Tensor:
    """A zero that every trained parameter takes part in, so that ranks without rows still agree on the gradients to reduce."""
    used = [local(p).flatten()[:0].sum() for p in module.parameters() if p.requires_grad]
    return torch.stack(used).sum() if used else torch.zeros(())


def local(parameter: Tensor) -> Tensor:
    """What this rank holds of a parameter that may be split over ranks, in the graph."""
    held: Tensor = parameter.to_local() if is_split(parameter) else parameter  # type: ignore[attr-defined]
    return held


def is_split(parameter: Tensor) -> bool:
    """Whether it is a DTensor; importing that class takes longer than most processes want."""
    return hasattr(parameter, "to_local")
