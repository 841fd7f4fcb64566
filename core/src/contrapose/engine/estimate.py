"""What a run will cost, told before its first step, from one rehearsal that leaves no trace."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn

from contrapose.methods.gather import total, world_size

from .progress import clock_time

LONG_STEP_SECONDS = 1.0


@dataclass(frozen=True)
class Estimate:
    """Trainable parameters, seconds a step, seconds for what is left of the run, and peak memory in bytes."""

    parameters: int
    seconds_per_step: float
    seconds: float
    peak_bytes: int
    device: str

    def __str__(self) -> str:
        return (
            f"{self.parameters:,} parameters, about {self.seconds_per_step:.3g} s a step, "
            f"{clock_time(self.seconds)} in all, peak memory {self.peak_bytes / 2**30:.2f} GiB ({self.device})"
        )


def rehearse(
    method: nn.Module, backward: Callable[[], object], device: torch.device, steps: int, load_seconds: float
) -> Estimate:
    """Run a step's forward and backward pass without its optimiser, and put buffers, gradients and RNG back.

    A rehearsal that takes less than a second is repeated, because the first one also warms up allocators and kernels.

    Args:
        method: whose parameters and buffers are involved.
        backward: computes the gradient of the first batch.
        device: where it runs.
        steps: steps left.
        load_seconds: time to wait for a batch, added to each step.
    """
    cuda = device.type == "cuda"
    if cuda:
        torch.cuda.reset_peak_memory_stats(device)
    with _untouched(method, device):
        seconds = _mean(_timed(backward, cuda), device)  # or some processes would repeat it, and wait for the others
        if seconds < LONG_STEP_SECONDS:
            method.zero_grad(set_to_none=True)
            seconds = _timed(backward, cuda)
    peak = torch.cuda.max_memory_allocated(device) if cuda else _peak_process_bytes()
    parameters = sum(p.numel() for p in method.parameters() if p.requires_grad)
    seconds += load_seconds
    return Estimate(parameters, seconds, seconds * steps, peak, "GPU" if cuda else "this process")


def _mean(seconds: float, device: torch.device) -> float:
    return float(total(torch.tensor(seconds, device=device))) / world_size()


def _timed(backward: Callable[[], object], cuda: bool) -> float:
    began = time.perf_counter()
    backward()
    if cuda:
        torch.cuda.synchronize()
    return time.perf_counter() - began


@contextmanager
def _untouched(method: nn.Module, device: torch.device) -> Iterator[None]:
    """Put every buffer back as it was (running statistics, counters), drop gradients, and keep the global RNG."""
    buffers = [(m, dict(m._buffers)) for m in method.modules()]
    values = [(b, b.clone()) for b in method.buffers()]
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        try:
            yield
        finally:
            for module, held in buffers:
                module._buffers.clear()
                module._buffers.update(held)
            for buffer, value in values:
                buffer.copy_(value)
            method.zero_grad(set_to_none=True)


def _peak_process_bytes() -> int:
    try:
        import resource
    except ImportError:  # Windows
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
