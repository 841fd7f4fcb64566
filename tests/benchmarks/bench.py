"""What a benchmark file is given: ``measure(bench)`` yields rows."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any, TypeVar

import torch

from tests.benchmarks.floors import Ceilings

T = TypeVar("T")


class NotMeasured(Exception):
    """This row can't be measured here, and why."""


@dataclass(frozen=True)
class Bench:
    """Where and how thoroughly to measure."""

    device: torch.device
    ceilings: Ceilings
    quick: bool = False

    def pick(self, full: T, quick: T) -> T:
        """The full size, or the one that only shows that it runs."""
        return quick if self.quick else full

    def generator(self) -> torch.Generator:
        """Fresh random numbers on each run, so that a gate can't be learnt by heart."""
        generator = torch.Generator(self.device)
        generator.seed()
        return generator


def peer(module: str, name: str, package: str) -> Any | None:
    """``module.name`` of a peer's package, or None and one line where it isn't installed."""
    try:
        return getattr(importlib.import_module(module), name)
    except ImportError:
        print(f"benchmarks: {package} is not installed, so this peer is left out (pip install '.[bench]')", flush=True)
        return None
