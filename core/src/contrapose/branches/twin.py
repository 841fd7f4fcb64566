"""The encoders and projectors of a branch that follows another."""

from __future__ import annotations

import copy
from typing import Self

import torch
from torch import Tensor, nn

from contrapose.branches.heads import local
from contrapose.branches.named import Named
from contrapose.clock import Clock, Schedule


class Twin(nn.Module):
    """Copies of online modules whose parameters follow them by an exponential moving average, or not at all.

    Buffers (BatchNorm's statistics) are the twin's own, updated by its own forward passes, as in MoCo and BYOL.
    """

    def __init__(self, momentum: Schedule | None) -> None:
        super().__init__()
        self.momentum = momentum
        self.encoders, self.projectors = Named(), Named()

    def add(self, kind: str, name: str, online: nn.Module) -> None:
        """Copy an online module, once."""
        where = self.encoders if kind == "encoder" else self.projectors
        if name not in where:
            where[name] = copy.deepcopy(online).requires_grad_(False)

    def train(self, mode: bool = True) -> Self:
        """What is frozen stays in eval mode: its statistics and dropout don't move either."""
        return super().train(mode and self.momentum is not None)

    @torch.no_grad()
    def follow(self, encoders: Named, projectors: Named, clock: Clock) -> None:
        """One step towards the online modules."""
        if self.momentum is None:
            return
        mine: list[Tensor] = []
        theirs: list[Tensor] = []
        for copies, originals in ((self.encoders, encoders), (self.projectors, projectors)):
            for name, module in copies.items():
                mine += [local(p) for p in module.parameters()]  # split alike, if they are
                theirs += [local(p) for p in originals[name].parameters()]
        if mine:
            torch._foreach_lerp_(mine, theirs, 1 - clock.at(self.momentum))
