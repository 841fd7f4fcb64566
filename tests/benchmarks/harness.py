"""How a benchmark measures: sides by turns, medians, peak memory, and a gradient gate before anything is timed."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from importlib import metadata

import torch
from torch import Tensor

Side = Callable[[], object]
LossOf = Callable[[Sequence[Tensor]], Tensor]


class GateError(Exception):
    """The side that was to be timed computes something else."""


def synchronize(device: torch.device) -> None:
    """Wait until the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def alternate(
    sides: Mapping[str, Side], rounds: int, warmup: int = 1, device: torch.device | None = None
) -> dict[str, list[float]]:
    """Seconds of each side in every round.

    All sides run in each round, in turned order (A B, B A, ...), so that a slow minute of the machine falls on all of them.
    """
    where = device or torch.device("cpu")
    times: dict[str, list[float]] = {name: [] for name in sides}
    for k in range(warmup + rounds):
        for name in [*sides] if k % 2 == 0 else [*sides][::-1]:
            synchronize(where)
            began = time.perf_counter()
            sides[name]()
            synchronize(where)
            if k >= warmup:
                times[name].append(time.perf_counter() - began)
    return times


def medians(times: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """The median of each side, in seconds."""
    return {name: statistics.median(values) for name, values in times.items()}


def median_ratio(ours: Sequence[float], peer: Sequence[float]) -> float:
    """The median over rounds of ours/peer: both of a round saw the same machine."""
    return statistics.median(a / b for a, b in zip(ours, peer, strict=True))


def extra_peak(side: Side, device: torch.device | None = None) -> int:
    """Bytes that torch holds at most during one call beyond what it held before.

    On the CPU the profiler's record of every allocation and release is summed up in order of time, which is exact for torch's
    own allocator and blind to a library's scratch space. On CUDA it is the allocator's own statistics.
    """
    gc.collect()
    if device is not None and device.type == "cuda":
        synchronize(device)
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        side()
        synchronize(device)
        return torch.cuda.max_memory_allocated(device) - before
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        side()
    events = [e for e in profile.profiler.kineto_results.events() if e.name() == "[memory]"]
    held = peak = 0
    for event in sorted(events, key=lambda e: e.start_ns()):
        held += event.nbytes()
        peak = max(peak, held)
    return peak


def gradients(loss_of: LossOf, inputs: Sequence[Tensor]) -> tuple[float, list[Tensor]]:
    """The loss and its gradient by each input."""
    leaves = [x.detach().clone().requires_grad_() for x in inputs]
    loss = loss_of(leaves)
    return float(loss.detach()), [g.detach() for g in torch.autograd.grad(loss, leaves)]


def exact(reference: LossOf, inputs: Sequence[Tensor]) -> tuple[float, list[Tensor]]:
    """The reference's loss and gradients in float64."""
    return gradients(reference, [x.double() for x in inputs])


def gate(ours: LossOf, inputs: Sequence[Tensor], expected: tuple[float, list[Tensor]], tolerance: float) -> float:
    """The largest relative error of ours against what is ``exact``, over the loss and every gradient.

    A gradient's error is its largest deviation over the exact one's largest entry. Raises ``GateError`` above ``tolerance``.
    """
    value, got = gradients(ours, inputs)
    loss, wanted = expected
    errors = [abs(value - loss) / max(abs(loss), 1e-12)]
    for g, w in zip(got, wanted, strict=True):
        errors.append(float((g.double() - w).abs().max() / w.abs().max().clamp_min(1e-300)))
    if not all(error <= tolerance for error in errors):
        raise GateError(f"relative error {max(errors):.2e} against float64, more than {tolerance:.0e}: not timed")
    return max(errors)


def forward_backward(loss_of: LossOf, inputs: Sequence[Tensor]) -> Side:
    """A side: one loss and the gradients by all inputs."""
    leaves = [x.detach().clone().requires_grad_() for x in inputs]

    def step() -> None:
        torch.autograd.grad(loss_of(leaves), leaves)

    return step


def versions(*packages: str) -> dict[str, str]:
    """The installed versions of torch, contrapose and the packages named."""
    found = {}
    for name in ("contrapose", "torch", *packages):
        with suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found
