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
        self.steps_per_epoch: int | None = None
        self.epochs: float | None = None

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
        if self.steps_per_epoch is not None:
            self.epoch.fill_(self.steps // self.steps_per_epoch)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        return self  # stays on the CPU: reading it must never wait for a device

    def length(self, spec: Mapping[str, Any]) -> float:
        """Steps in ``{epochs: n}`` or ``{steps: n}``; the whole run where neither is said."""
        if "steps" in spec:
            return float(spec["steps"])
        if self.steps_per_epoch is None or self.epochs is None:
            raise ConfigError(
                "a schedule needs the length of the run: call method.clock.start(steps_per_epoch, epochs)"
            )
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


def check_schedule(value: Mapping[str, Any], path: tuple[str | int, ...] = ()) -> str:
    """The kind of a schedule; raises ``ConfigError`` where it isn't one."""
    kinds = [k for k in ("linear", "cosine") if k in value]
    ends = value[kinds[0]] if len(kinds) == 1 else None
    if not isinstance(ends, list | tuple) or len(ends) != 2 or set(value) - {*kinds, "epochs", "steps"}:
        raise ConfigError(
            "a schedule is a number, {linear: [a, b]} or {cosine: [a, b]}, over the run or over epochs: or steps:; "
            f"got {dict(value)}",
            path,
        )
    return kinds[0]


def check_span(spec: Mapping[str, Any] | None, name: str) -> None:
    """Raise ``ConfigError`` unless ``spec`` is None, ``{epochs: n}`` or ``{steps: n}``."""
    if spec is not None and (not isinstance(spec, Mapping) or [*spec] not in (["epochs"], ["steps"])):
        raise ConfigError(f"expected {{epochs: n}} or {{steps: n}}, got {spec}", (name,))
