"""Ctrl-C and SIGTERM: asked to stop, a run finishes its step, saves, and says how to go on."""

from __future__ import annotations

import threading
from types import TracebackType

from contrapose.data.patience import Patience
from contrapose.errors import ContraposeError


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
