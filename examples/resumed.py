"""What protocols of hours have in common: a JSON file a row, written after each run, so that what is there isn't run again.

A run is told from others of its row by a number, its seed, and has the ``digest`` of its config: of another one it is out of date.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

Said = dict[str, Any]
# Steps allocate the same large tensors again and again: let the C library keep them, and a step takes half the time.
KEEP = {"MALLOC_MMAP_THRESHOLD_": str(2**32), "MALLOC_TRIM_THRESHOLD_": str(2**33)}


def parsed(file: Path) -> Said:
    """A YAML file."""
    from contrapose.config.yaml import parse

    found: Said = parse(file.read_text("utf-8"), str(file)).data
    return found


def digest(config: Any) -> str:
    """All that decides a run, in eight letters."""
    return hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()[:8]


def known(file: Path) -> list[Said]:
    """The runs of a row that have a result."""
    runs: list[Said] = json.loads(file.read_text())["runs"] if file.exists() else []
    return runs


def current(file: Path, digest_of: Callable[[int], str], key: str = "seed") -> list[Said]:
    """Those of the config as it is now."""
    return [run for run in known(file) if run["config"] == digest_of(run[key])]


def missing(file: Path, seeds: Iterable[int], digest_of: Callable[[int], str], key: str = "seed") -> list[int]:
    """The seeds that have none of the config as it is now."""
    there = {run[key] for run in current(file, digest_of, key)}
    return [seed for seed in seeds if seed not in there]


def keep(file: Path, run: Said, key: str = "seed") -> None:
    """Write a run beside the others of its row, all or nothing, and what it ran on."""
    import torch

    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU, 1 thread"
    runs = sorted([run, *(other for other in known(file) if other[key] != run[key])], key=lambda of: int(of[key]))
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_suffix(".part")
    part.write_text(json.dumps({"device": device, "torch": torch.__version__, "runs": runs}, indent=1) + "\n")
    part.replace(file)


def work(
    names: Iterable[str],
    seeds: Iterable[int],
    file_of: Callable[[str], Path],
    digest_of: Callable[[str, int], str],
    one: Callable[[str, int], Said],
    key: str = "seed",
) -> None:
    """Run what lacks, a seed of all rows before the next seed, and write a row's file after each run."""
    rows = [*names]
    for seed in seeds:
        for name in rows:
            config = digest_of(name, seed)
            if any(run[key] == seed and run["config"] == config for run in known(file_of(name))):
                continue
            found = one(name, seed)
            keep(file_of(name), {key: seed, "config": config, **found}, key)
            shown = ", ".join(f"{k} {v:.3g}" for k, v in found.items() if isinstance(v, int | float))
            print(f"{name} ({key} {seed}): {shown}", flush=True)


def on_one_thread() -> None:
    """Start this script again, unless it has been, on one thread and keeping memory: both are read when a process starts."""
    if any(name not in os.environ for name in KEEP):
        told = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", **KEEP}
        sys.exit(subprocess.run([sys.executable, *sys.argv], env=told, check=False).returncode)
