"""Processes that stand ready as the ranks of a group: starting them costs seconds, so that checks share them."""

from __future__ import annotations

import pickle
import tempfile
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import cache
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, cast

import torch
import torch.distributed as dist

from contrapose.testing.compare import must

PATIENCE = timedelta(minutes=2)
"""How long a rank waits in a collective for the others."""


class Ranks:
    """``world_size`` processes of one gloo group, started by ``spawn``."""

    def __init__(self, world_size: int) -> None:
        context = get_context("spawn")
        self.size = world_size
        self.folder = tempfile.TemporaryDirectory()
        meeting = Path(self.folder.name) / "meeting"
        pipes = [context.Pipe() for _ in range(world_size)]
        self.connections = [ours for ours, _ in pipes]
        self.processes = [
            context.Process(target=_serve, args=(rank, world_size, str(meeting), theirs), daemon=True)
            for rank, (_, theirs) in enumerate(pipes)
        ]
        for process in self.processes:
            process.start()
        for _, theirs in pipes:
            theirs.close()  # so that a rank that died is noticed

    def do(self, function: Callable[..., Any], arguments: Sequence[tuple[Any, ...]]) -> list[Any]:
        """``function(*arguments[rank])`` on every rank, and what each gives. Fails with what one of them says."""
        with must("it must be picklable, so that other processes can have it: define what it is made of in a module"):
            jobs = [pickle.dumps((function, a)) for a in arguments]
        try:
            return self._answers(jobs)
        except BaseException:  # the others wait for one that failed, and would answer the next check
            self.close()
            raise

    def _answers(self, jobs: Sequence[bytes]) -> list[Any]:
        for connection, job in zip(self.connections, jobs, strict=True):
            connection.send_bytes(job)
        found: dict[int, Any] = {}
        while len(found) < self.size:
            for ready in wait([c for rank, c in enumerate(self.connections) if rank not in found]):
                rank = self.connections.index(cast(Connection, ready))
                try:
                    good, found[rank] = pickle.loads(self.connections[rank].recv_bytes())
                except EOFError:
                    good, found[rank] = False, "its process died"
                if not good:
                    raise AssertionError(f"rank {rank} of {self.size}: {found[rank]}")
        return [found[rank] for rank in range(self.size)]

    def close(self) -> None:
        """End the processes; the next check starts others."""
        ranks.cache_clear()
        for process in self.processes:
            process.terminate()


@cache
def ranks(world_size: int) -> Ranks:
    """The processes that stand ready."""
    return Ranks(world_size)


def _serve(rank: int, world_size: int, meeting: str, connection: Connection) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", f"file://{meeting}", PATIENCE, world_size, rank)
    while True:
        try:
            job = connection.recv_bytes()
        except EOFError:
            return
        try:
            function, arguments = pickle.loads(job)
            answer = True, function(*arguments)
        except Exception as error:
            answer = False, f"{type(error).__name__}: {' '.join(str(error).split())[:500]}"
        connection.send_bytes(pickle.dumps(answer))
