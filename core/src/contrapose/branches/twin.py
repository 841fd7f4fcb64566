"""The encoders and projectors of a branch that follows another."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from contrapose.clock import Clock, Schedule


class Twin(nn.Module):
    """Copies of online modules whose parameters follow them by an exponential moving average, or not at all.

    Buffers (BatchNorm's statistics) are the twin's own, updated by its own forward passes, as in MoCo and BYOL.
    """

    def __init__(self, momentum: Schedule | None) -> None:
        super().__init__()
        self.momentum = momentum
        self.encoders = nn.ModuleDict()
        self.projectors = nn.ModuleDict()

    def add(self, kind: str, name: str, online: nn.Module) -> None:
        """Copy an online module, once."""
        where = self.encoders if kind == "encoder" else self.projectors
        if name not in where:
            where[name] = copy.deepcopy(online).requires_grad_(False)

    @torch.no_grad()
    def follow(self, encoders: nn.ModuleDict, projectors: nn.ModuleDict, clock: Clock) -> None:
        """One step towards the online modules."""
        if self.momentum is None:
            return
        mine: list[Tensor] = []
        theirs: list[Tensor] = []
        for copies, originals in ((self.encoders, encoders), (self.projectors, projectors)):
            for name, module in copies.items():
                mine += [*module.parameters()]
                theirs += [*originals[name].parameters()]
        if mine:
            torch._foreach_lerp_(mine, theirs, 1 - clock.at(self.momentum))
