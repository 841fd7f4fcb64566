"""The worker processes that load data."""

from __future__ import annotations

import atexit
import multiprocessing.util
import pickle
import signal
import sys
from types import TracebackType
from typing import Any

import torch

from contrapose.data.patience import Patience
from contrapose.errors import ConfigError


def worker_options(dataset: Any, workers: int, device: torch.device) -> dict[str, Any]:
    """What a loader of ``dataset`` tells torch's ``DataLoader`` of its worker processes.

    Raises ``ConfigError`` where they wouldn't find what a notebook defines.
    """
    forks = sys.platform == "linux"
    if workers and not forks:
        _require_sendable(dataset)
    return {
        "num_workers": workers,
        "persistent_workers": workers > 0,
        "pin_memory": device.type == "cuda",
        # Its own: DataLoader draws from it at every iteration, and the model's draws must not depend on that.
        "generator": torch.Generator(),
        "worker_init_fn": _settle,
        # Forked workers start at once and touch no CUDA; elsewhere than on Linux forking isn't safe.
        "multiprocessing_context": "fork" if workers and forks else None,
    }


def _require_sendable(dataset: Any) -> None:
    """Raise ``ConfigError`` where a started process, unlike a forked one, wouldn't find what a notebook defines."""
    interactive = not hasattr(sys.modules["__main__"], "__file__")
    if interactive and b"__main__" in pickle.dumps(dataset):
        raise ConfigError(
            "what is defined in a notebook can't be sent to worker processes here; set it to 0, or put the definitions "
            "into a file and import that",
            ("train", "workers"),
        )


def _settle(worker: int) -> None:
    """Make a worker outlive what ends its run, and be silent of it.

    Terminals and schedulers send Ctrl-C and SIGTERM to all processes of a run, which still needs its workers to finish its
    step and save: the first one is overlooked. Where the run ends while it fetches a tensor, the thread that hands it over
    would print a traceback; that a run has ended, the run says.
    """
    Patience().hold(later=signal.SIG_DFL)
    sys.excepthook = _say_unless_left


def _say_unless_left(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if not isinstance(error, (ConnectionError, EOFError)):
        sys.__excepthook__(kind, error, trace)


def _leave_none() -> None:
    """As the process ends, kill the workers that are left: multiprocessing sends each one SIGTERM, which it overlooks, and waits.

    Such are left where a loader fails while it starts its workers, as when one of them dies at once.
    """
    for child in multiprocessing.active_children():
        if child.daemon:
            child.kill()


atexit.register(_leave_none)  # after multiprocessing's own, imported above, so it is called before that
