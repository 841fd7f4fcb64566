"""Where a run computes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, PartialState
from accelerate.utils import DistributedDataParallelKwargs

from contrapose.errors import ConfigError

if TYPE_CHECKING:
    from contrapose.config.schema import TrainConfig


def use_cuda(device: str) -> bool:
    """Whether ``train.device`` means CUDA here. Raises ``ConfigError`` where it was asked for but is absent."""
    if device == "cuda" and not torch.cuda.is_available():
        raise ConfigError("CUDA was asked for, but torch finds none here; use cpu or auto", path=("train", "device"))
    return device != "cpu" and torch.cuda.is_available()


def own_process() -> tuple[int, int]:
    """This process's number and how many a launcher (``torchrun``, ``accelerate launch``) started; (0, 1) without one.

    Its own GPU becomes the current one. For work without collectives, where a process need not wait for the others.
    """
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", 0)) % torch.cuda.device_count())
    return int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))


def accelerator_for(train: TrainConfig) -> Accelerator:
    """Accelerate's view of the device, the precision and the processes. Raises ``ConfigError``."""
    cuda = use_cuda(train.device)
    if PartialState._shared_state and PartialState().num_processes == 1:
        AcceleratorState._reset_state(
            reset_partial_state=True
        )  # an earlier run of this process may have had another device
    return Accelerator(
        cpu=not cuda,
        mixed_precision="bf16" if train.precision == "bf16" else "no",
        # Buffers aren't broadcast: sources keep themselves equal on all ranks, and the clock stays on the CPU.
        kwargs_handlers=[DistributedDataParallelKwargs(broadcast_buffers=False)],
    )
