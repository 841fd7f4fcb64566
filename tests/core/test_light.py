"""What a person waits for before anything happens. (That neither torch nor numpy is imported is in test_cli.)"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("code", "runs", "peer", "peer_runs", "most"),
    [
        ("import contrapose", 9, "import pluggy", 9, 2.0),
        ("from contrapose.cli import main; main(['--help'])", 3, "import torch", 1, 0.2),
    ],
)
def test_it_takes_no_longer_than_it_should(code: str, runs: int, peer: str, peer_runs: int, most: float) -> None:
    """The best of several runs by turns, whole processes, each by its own CPU time: other work on the machine only ever adds."""
    best, least = float("inf"), float("inf")
    for turn in range(runs):
        best = min(best, seconds(code))
        least = min(least, seconds(peer)) if turn < peer_runs else least
    print(f"{best:.3f} s, {peer}: {least:.3f} s")
    assert best <= most * least, (best, least)


def seconds(code: str) -> float:
    """The CPU time of a process with this code."""
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return used.ru_utime + used.ru_stime
