"""A worker process as a loader starts it by ``spawn``: it has only what is sent to it, pickled."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from multiprocessing import get_context
from typing import Any

from contrapose.testing.compare import must


@cache
def _workers() -> ProcessPoolExecutor:
    """One process for all checks: starting it costs seconds."""
    return ProcessPoolExecutor(max_workers=1, mp_context=get_context("spawn"))


def in_worker(function: Callable[..., Any], *arguments: Any) -> Any:
    """``function(*arguments)``, computed in a worker process. Fails where something can't be sent there or back."""
    with must("it must be picklable, so that loader workers can have it: define what it is made of in a module"):
        sent = pickle.dumps((function, arguments))
    return pickle.loads(_workers().submit(_run, sent, sys.path).result())


def _run(sent: bytes, path: list[str]) -> bytes:
    sys.path[:] = path  # as of now, which a process that is started now would have
    with must("a worker process must be able to unpickle it"):
        function, arguments = pickle.loads(sent)
    return pickle.dumps(function(*arguments))
