"""Training time, and values that are pure functions of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Self

import torch
from torch import Tensor, nn

from .errors import ConfigError

Schedule = float | Mapping[str, Any]
"""A number, ``{linear: [a, b]}`` or ``{cosine: [a, b]}``, over the run or over ``epochs: n`` or ``steps: n``."""


class Clock(nn.Module):
    """Optimiser steps and epochs done so far, kept as buffers so that they survive a checkpoint."""

    step: Tensor
    epoch: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("step", torch.zeros((), dtype=torch.int64))
        self.register_buffer("epoch", torch.zeros((), dtype=torch.int64))
        self.steps_per_epoch = 1
        self.epochs = 1.0

    def start(self, steps_per_epoch: int, epochs: float) -> None:
        """Tell the length of the run, by which schedules without a length of their own are stretched."""
        self.steps_per_epoch, self.epochs = max(1, steps_per_epoch), epochs

    @property
    def steps(self) -> int:
        """Optimiser steps done."""
        return int(self.step)

    def tick(self) -> None:
        """One more optimiser step is done."""
        self.step += 1
        self.epoch.fill_(self.steps // self.steps_per_epoch)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        return self  # stays on the CPU: reading it must never wait for a device

    def length(self, spec: Mapping[str, Any]) -> float:
        """Steps in ``{epochs: n}`` or ``{steps: n}``; the whole run where neither is said."""
        if "steps" in spec:
            return float(spec["steps"])
        return float(spec.get("epochs", self.epochs)) * self.steps_per_epoch

    def reached(self, spec: Mapping[str, Any] | None) -> bool:
        """Whether ``{epochs: n}`` or ``{steps: n}`` lie behind; None always does."""
        return spec is None or self.steps >= self.length(spec)

    def at(self, value: Schedule) -> float:
        """The value of a schedule now."""
        if not isinstance(value, Mapping):
            return float(value)
        kind = check_schedule(value)
        a, b = value[kind]
        done = min(1.0, self.steps / max(1.0, self.length(value)))
        return a + (b - a) * (done if kind == "linear" else (1 - math.cos(math.pi * done)) / 2)


def check_schedule(value: Mapping[str, Any]) -> str:
    """The kind of a schedule; raises ``ConfigError`` where it isn't one."""
    kinds = [k for k in ("linear", "cosine") if k in value]
    if len(kinds) != 1 or set(value) - {*kinds, "epochs", "steps"} or len(value[kinds[0]]) != 2:
        raise ConfigError(
            f"a schedule is a number, {{linear: [a, b]}} or {{cosine: [a, b]}}, with epochs: or steps:; got {value}"
        )
    return kinds[0]
