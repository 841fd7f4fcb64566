"""A single-file plugin of parts that break at a wanted moment, for waves (``end_to_end/waves.py``)."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import torch
from torch import nn

import contrapose

LACKING = {
    "gpu": torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    "cpu": RuntimeError(
        "[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory: you tried ..."
    ),
    "python": MemoryError(),
}


class Net(nn.Module):
    """A linear net that calls ``breaks(data, steps)`` in each of its training steps."""

    modality = "wave"

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.dims = {"pooled": width}
        self.net = nn.Linear(32, width)
        self.steps = 0

    def forward(self, data):
        self.steps += self.training and torch.is_grad_enabled()
        return {"pooled": self.breaks(self.net(data))}


class Hungry(Net):
    """Runs out of memory with more than ``most`` rows at once."""

    def __init__(self, most: int, kind: str, after: int) -> None:
        super().__init__()
        self.most, self.kind, self.after = most, kind, after

    def breaks(self, z):
        if len(z) > self.most and self.steps > self.after:
            raise LACKING[self.kind]
        return z


class Spike(torch.autograd.Function):
    @staticmethod
    def forward(ctx, z):
        return z.clone()

    @staticmethod
    def backward(ctx, grad):
        return grad * float("inf")


class Overflowing(Net):
    """Its gradient overflows from training step ``after`` on, while its output stays finite."""

    def __init__(self, after: int) -> None:
        super().__init__()
        self.after = after

    def breaks(self, z):
        return Spike.apply(z) if self.steps > self.after else z


class Slow(Net):
    """Takes a second for each training step."""

    def breaks(self, z):
        time.sleep(1.0 if self.training else 0.0)
        return z


@contrapose.encoder("slow-net")
def slow_net() -> nn.Module:
    """A second a step."""
    return Slow()


@contrapose.encoder("hungry-net")
def hungry_net(most: int = 4, kind: str = "gpu", after: int = 0) -> nn.Module:
    """Out of memory with more than ``most`` rows."""
    return Hungry(most, kind, after)


@contrapose.encoder("overflowing-net")
def overflowing_net(after: int = 3) -> nn.Module:
    """A gradient that overflows."""
    return Overflowing(after)


@contrapose.view("wave")
def deadly(data, rng, sign: str = ""):
    """Noise; where the file ``sign`` is, it goes, and with it the process that makes the view."""
    if sign and Path(sign).exists():
        Path(sign).unlink(missing_ok=True)
        os.kill(os.getpid(), signal.SIGKILL)
    return data + rng.normal(0, 0.1, data.shape)
