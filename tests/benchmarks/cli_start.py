"""``cli_start``: what a person waits for before anything happens, against ``python -c "import torch"``."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from functools import partial

from tests.benchmarks.bench import Bench, NotMeasured
from tests.benchmarks.harness import alternate, median_ratio, medians, versions
from tests.benchmarks.table import Row

PYTHON = [sys.executable, "-c"]
PEER = "import torch"
NO_TORCH = "import contrapose, contrapose.cli, sys; contrapose.cli.main(['plugins']); sys.exit('torch' in sys.modules)"
OURS = {
    "cli_start": [sys.executable, "-m", "contrapose", "plugins"],
    "cli_start_help": [sys.executable, "-m", "contrapose", "--help"],
    "cli_start_import": [*PYTHON, "import contrapose"],
}
WORKLOADS = {
    "cli_start": "`contrapose plugins`, all plugins installed",
    "cli_start_help": "`contrapose --help`",
    "cli_start_import": '`python -c "import contrapose"`',
}


def measure(bench: Bench) -> Iterator[Row]:
    """Whole processes by turns; the floor is an interpreter that does nothing."""
    for command in (*OURS.values(), [*PYTHON, NO_TORCH]):
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise NotMeasured(
                f"{' '.join(command[1:3])} failed: {(done.stderr.strip() or 'torch was imported').splitlines()[-1]}"
            )
    sides = {**OURS, "peer": [*PYTHON, PEER], "floor": [*PYTHON, "pass"]}
    rounds = bench.pick(11, 2)
    times = alternate({name: partial(_run, command) for name, command in sides.items()}, rounds)
    median = medians(times)
    for name in OURS:
        yield Row(
            name=name,
            workload=WORKLOADS[name],
            ours=median[name],
            peer_name=f"`{PEER}`",
            peer=median["peer"],
            to_peer=median_ratio(times[name], times["peer"]),
            floor=median["floor"],
            rounds=rounds,
            targets={"to_peer": 0.2},
            versions=versions(),
        )


def _run(command: list[str]) -> None:
    subprocess.run(
        command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, "COLUMNS": "120"}
    )
