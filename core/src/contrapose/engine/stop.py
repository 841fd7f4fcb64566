"""Ctrl-C and SIGTERM: asked to stop, a run finishes its step, saves, and says how to go on."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType

from contrapose.errors import ContraposeError

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(ContraposeError):
    """A run that was asked to stop, and did so with a checkpoint saved. ``signum`` says by which signal."""

    def __init__(self, message: str, signum: int) -> None:
        super().__init__(message)
        self.signum = signum

    @property
    def exit_code(self) -> int:
        """What a shell expects of a process that a signal ended: 130 for Ctrl-C, 143 for SIGTERM."""
        return 128 + self.signum


class StopRequest:
    """While entered, notes the first Ctrl-C or SIGTERM in ``signum`` instead of dying; the second one acts at once."""

    def __init__(self) -> None:
        self.signum: int | None = None

    def __enter__(self) -> StopRequest:
        # Python delivers signals to the main thread alone; elsewhere (a notebook's worker, a server) its owner handles them.
        self.old = {}
        if threading.current_thread() is threading.main_thread():
            self.old = {s: signal.signal(s, self._note) for s in SIGNALS}
        return self

    def __exit__(self, kind: type[BaseException] | None, e: BaseException | None, trace: TracebackType | None) -> None:
        self._restore()

    def _note(self, signum: int, frame: FrameType | None) -> None:
        self.signum = signum
        self._restore()

    def _restore(self) -> None:
        for s, handler in self.old.items():
            signal.signal(s, handler)
        self.old = {}
