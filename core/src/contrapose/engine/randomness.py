"""Global randomness as a pure function of where a run stands, so that a checkpoint needs no generator state."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

from contrapose.types import ident


def reseed(seed: int, stage: str, *position: int) -> None:
    """Seed torch's global generators from (seed, stage, position): dropout in step 7 is the same however the run got there.

    ``stage`` ("step", "epoch", ...) keeps equal positions of different things apart; ``position`` is any of step, rank, epoch.
    """
    state = np.random.SeedSequence([seed, ident(stage), *position]).generate_state(1, np.uint64)
    # Not torch.manual_seed: before CUDA is used, it notes the whole call stack each time, which takes a millisecond.
    torch.default_generator.manual_seed(int(state[0]))
    if torch.cuda.is_initialized():
        torch.cuda.manual_seed_all(int(state[0]))


Chance = tuple[Tensor, Tensor | None]
"""The state of torch's global generators, the CPU's and a CUDA device's."""


def chance(device: torch.device) -> Chance:
    """Where the generators stand, for ``repeat``."""
    return torch.get_rng_state(), torch.cuda.get_rng_state(device) if device.type == "cuda" else None


def repeat(before: Chance, device: torch.device) -> None:
    """Set the generators back: what is drawn next is what was drawn after ``before``."""
    cpu, cuda = before
    torch.set_rng_state(cpu)
    if cuda is not None:
        torch.cuda.set_rng_state(cuda, device)


@contextmanager
def reproducible(deterministic: bool, threads: int | None) -> Iterator[None]:
    """Deterministic kernels, where torch has them, and a fixed number of threads; both as before on leaving."""
    before = (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
        torch.get_num_threads(),
    )
    memory: Any = torch.utils.deterministic  # its one attribute is made at run time
    filled = memory.fill_uninitialized_memory
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it cuBLAS is free to sum in any order
        torch.use_deterministic_algorithms(True, warn_only=True)
        # That would also write NaN into every fresh tensor, to show reads of what nobody wrote: a check for torch's own authors.
        memory.fill_uninitialized_memory = False
    if threads is not None:
        torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])
        torch.set_num_threads(before[2])
        memory.fill_uninitialized_memory = filled
