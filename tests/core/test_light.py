"""What a person waits for before anything happens. (That neither torch nor numpy is imported is in test_cli.)"""

from __future__ import annotations

import subprocess
import sys
import time

import pytest


@pytest.mark.parametrize(
    ("code", "runs", "peer", "peer_runs", "most"),
    [
        ("import contrapose", 9, "import pluggy", 9, 2.0),
        ("from contrapose.cli import main; main(['--help'])", 3, "import torch", 1, 0.2),
    ],
)
def test_it_takes_no_longer_than_it_should(code: str, runs: int, peer: str, peer_runs: int, most: float) -> None:
    """The best of several runs by turns, whole processes: other work on the machine only ever adds."""
    best, least = float("inf"), float("inf")
    for turn in range(runs):
        best = min(best, seconds(code))
        least = min(least, seconds(peer)) if turn < peer_runs else least
    assert best <= most * least, (best, least)


def seconds(code: str) -> float:
    """How long a process with this code takes."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    return time.perf_counter() - began
