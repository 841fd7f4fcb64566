"""Ctrl-C and SIGTERM: asked to stop, a run finishes its step, saves, and says how to go on."""

from __future__ import annotations

import signal
import threading
from types import TracebackType
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from contrapose.data.patience import Patience
from contrapose.errors import ContraposeError

if TYPE_CHECKING:
    from accelerate import Accelerator


class Interrupted(ContraposeError):
    """A run that was asked to stop, and did so with a checkpoint saved. ``signum`` says by which signal."""

    def __init__(self, message: str, signum: int) -> None:
        super().__init__(message)
        self.signum = signum

    @property
    def exit_code(self) -> int:
        """What a shell expects of a process that a signal ended: 130 for Ctrl-C, 143 for SIGTERM."""
        return 128 + self.signum


class StopRequest(Patience):
    """While entered, notes Ctrl-C or SIGTERM in ``signum`` instead of dying; a second one, a second later, acts at once."""

    def __enter__(self) -> StopRequest:
        # Python delivers signals to the main thread alone; elsewhere (a notebook's worker, a server) its owner handles them.
        if threading.current_thread() is threading.main_thread():
            self.hold()
        return self

    def __exit__(self, kind: type[BaseException] | None, e: BaseException | None, trace: TracebackType | None) -> None:
        self.release()


class Agreement:
    """By which signal all processes stop after this step, None to go on: they learn of one at different steps.

    They hear of it a step later, so that none waits for the answer of the step that it has just begun.
    """

    def __init__(self, accelerator: Accelerator) -> None:
        self.accelerator = accelerator
        self.asked: Tensor | None = None

    def __call__(self, stop: StopRequest) -> int | None:
        """To be called by all processes once a step."""
        if self.accelerator.num_processes == 1:
            return stop.signum
        before = self.asked
        mine = torch.tensor(float(stop.signum is not None), device=self.accelerator.device)
        self.asked = self.accelerator.reduce(mine, "sum")
        return (stop.signum or signal.SIGTERM) if before is not None and before.item() else None
