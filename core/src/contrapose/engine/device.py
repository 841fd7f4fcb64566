"""Where a run computes."""

from __future__ import annotations

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
