"""Ctrl-C and SIGTERM, noted instead of obeyed at once."""

from __future__ import annotations

import os
import signal
import time
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)

TOGETHER = 1.0
"""Seconds in which further signals are the same request: a scheduler signals all processes, and a launcher its own once more."""


class Patience:
    """While it holds, the first Ctrl-C or SIGTERM is noted in ``signum``; a second request acts at once."""

    def __init__(self) -> None:
        self.signum: int | None = None
        self.asked = 0.0
        self.old: dict[signal.Signals, Any] = {}

    def hold(self, later: signal.Handlers | None = None) -> None:
        """Begin, in the main thread. A second request is handled by ``later``, else as signals were before."""
        for s in SIGNALS:
            before = signal.signal(s, self._note)
            self.old[s] = before if later is None else later

    def release(self) -> None:
        """Handle signals as before."""
        for s, handler in self.old.items():
            signal.signal(s, handler)
        self.old = {}

    def _note(self, signum: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if self.signum is None:
            self.signum, self.asked = signum, now
        elif now - self.asked > TOGETHER:
            self.release()
            os.kill(os.getpid(), signum)
