"""Frozen towers and kept taps on two processes: what they learn is what one learns, however the weights lie."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from tests.end_to_end.test_chunks import ALIKE
from tests.end_to_end.thirds import write_three

import contrapose as cp
from contrapose.plugins import configure, registry

HERE = Path(__file__).parent
FLAGS = [word for file in ("waves.py", "thirds.py") for word in ("--plugin", str(HERE / file))]
TORCHRUN = ["torch.distributed.run", "--standalone", "--nproc_per_node=2", "-m", "contrapose"]
BARE = "norm: false, dropout: 0.0"
SET = (
    f"encoders={{wave: {{use: wave-net, {BARE}}}, echo: {{use: echo-net, {BARE}}}}}",
    "method={use: clip, pair: [wave, echo], out: 8}",
    "views={wave: doubled, echo: {use: hiss, sigma: 0.0}}",
    "train.frozen={wave: encoder}",
    *ALIKE[-5:],
)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("CONTRAPOSE_CACHE", str(tmp_path / "cache"))
    configure()
    for file in ("waves.py", "thirds.py"):
        registry().load_file(HERE / file)
    yield write_three(tmp_path / "project", samples=40)
    configure()


def losses(run: Path) -> list[float]:
    with open(run / "metrics.csv") as f:
        return [float(row["loss"]) for row in csv.DictReader(f)]


@pytest.mark.slow
@pytest.mark.parametrize(
    "how",
    [["train.cache=true"], ["train.shard=true"], ["train.cache=true", "train.shard=true"], ["train.chunk_size=2"]],
)
def test_two_processes_learn_what_one_does(place: Path, how: list[str]) -> None:
    one = cp.train(place / "old.yaml", set=SET, out=place / "one", quiet=True)
    command = [sys.executable, "-m", *TORCHRUN, "train", str(place / "old.yaml"), "--out", str(place / "two"), *FLAGS]
    sets = [word for s in (*SET, *how) for word in ("--set", s)]
    done = subprocess.run([*command, *sets], capture_output=True, text=True, env={**os.environ})
    assert done.returncode == 0, done.stderr[-6000:]
    np.testing.assert_allclose(losses(place / "two"), losses(one.dir), rtol=1e-4)
    two = cp.load(place / "two")
    np.testing.assert_allclose(two.embed("test")["wave"].z, one.embed("test")["wave"].z, rtol=1e-3, atol=1e-4)


@pytest.mark.slow
def test_a_run_is_extended_on_two_processes(place: Path) -> None:
    old = cp.train(place / "old.yaml", set=["train.steps=2"], out=place / "old", quiet=True)
    command = [sys.executable, "-m", *TORCHRUN, "train", str(place / "new.yaml"), "--out", str(place / "new"), *FLAGS]
    sets = ["--set", "train.steps=2", "--set", "train.cache=true", "--extend", str(old.dir)]
    done = subprocess.run([*command, *sets], capture_output=True, text=True, env={**os.environ})
    assert done.returncode == 0, done.stderr[-6000:]
    np.testing.assert_array_equal(cp.load(place / "new").embed("test")["echo"].z, old.embed("test")["echo"].z)
