"""Killed, or asked to stop, at any moment: the run goes on and ends in the bits of one that was left alone.

``pytest -s tests/faults/test_kill.py`` says at which moments runs were killed, and how far they had come.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.end_to_end.waves import write_project
from tests.faults.helpers import COMMAND, kept, outcome, start, train, waves_alone

from contrapose.data.patience import TOGETHER
from contrapose.engine.run import train as pretrain
from contrapose.engine.stop import StopRequest

KILLS = 20
SETTINGS = ["train.epochs=24", "train.checkpoint_every=7", "train.workers=2"]  # 5 steps an epoch


def begin(config: Path, run: Path) -> int:
    """Train in a forked process of a group of its own, from the start or from where the folder is; its id."""
    child = os.fork()
    if child == 0:
        os.setpgrp()
        code = 1
        try:
            if (run / "config.yaml").exists():
                pretrain(resume=run, quiet=True)
            else:
                pretrain(config, set=SETTINGS, out=run, quiet=True)
            code = 0
        finally:
            os._exit(code)
    return child


@pytest.mark.slow
def test_kill_9_at_random_moments_then_resume_until_done(tmp_path: Path) -> None:
    """From before there is a folder to after the last step; half of the runs are killed again while they go on."""
    config = write_project(tmp_path / "project")
    assert train(config, "--out", tmp_path / "warm", "--set", "train.steps=2") == 0  # loads the plugins, imports all
    began = time.monotonic()
    pretrain(config, set=SETTINGS, out=tmp_path / "whole", quiet=True)
    seconds = time.monotonic() - began
    wanted = outcome(tmp_path / "whole")
    assert kept(tmp_path / "whole")[-1] == 120
    killed = attempt = 0
    while killed < KILLS:
        run = tmp_path / f"run-{attempt}"
        status = None
        for _ in range(1 + attempt % 2):
            moment = random.uniform(0, seconds)
            child = begin(config, run)
            time.sleep(moment)
            os.kill(child, signal.SIGKILL)
            status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            assert status in (0, -signal.SIGKILL)
            killed += status != 0
            found = kept(run)[-1:] if run.exists() else []
            print(f"run {attempt}: {'killed' if status else 'was done'} at {moment:.2f} of {seconds:.2f} s, {found}")
        assert os.waitstatus_to_exitcode(os.waitpid(begin(config, run), 0)[1]) == 0
        assert outcome(run) == wanted, f"run {attempt}"
        attempt += 1


def test_a_second_request_acts_at_once() -> None:
    child = os.fork()
    if child == 0:
        with StopRequest() as stop:
            os.kill(os.getpid(), signal.SIGTERM)
            stop.asked -= 2 * TOGETHER
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(30)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGTERM


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_all_processes_of_a_run_lets_it_save(tmp_path: Path, signum: int) -> None:
    """As terminals, schedulers and service managers send them: the loader's workers get it too."""
    config = write_project(tmp_path / "project")
    settings = [word for s in SETTINGS for word in ("--set", s)]
    assert train(config, "--out", tmp_path / "whole", *settings) == 0
    run = tmp_path / "run"
    process = start(config, "--out", run, *settings, start_new_session=True)
    while process.poll() is None and not kept(run):
        time.sleep(0.005)
    for _ in range(2):  # a launcher hands on what a scheduler has sent to all: one request
        os.killpg(process.pid, signum)
        time.sleep(0.001)
    said = process.communicate()[1]
    assert process.returncode == 128 + signum, said
    assert "Traceback" not in said
    step = int(said.split("stopped after step ")[1].split()[0])
    assert kept(run)[-1] == step < 120
    assert train("--resume", run) == 0
    assert outcome(run) == outcome(tmp_path / "whole")


def test_a_signal_to_a_launcher_lets_several_processes_save(tmp_path: Path) -> None:
    """The launcher kills them half a minute later, so that they can't wait for some tenth step."""
    config = waves_alone(tmp_path / "project", "slow-net", train=", steps: 500, loggers: []")
    run = tmp_path / "run"
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", *COMMAND[1:]]
    process = subprocess.Popen(
        [*launch, str(config), "--out", str(run)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    metrics = run / "metrics.csv"
    while process.poll() is None and not (metrics.exists() and metrics.read_text().count("\n") > 1):
        time.sleep(0.05)
    process.terminate()
    said = process.communicate(timeout=60)[0]
    step = int(said.split("stopped after step ")[1].split()[0])
    assert kept(run) == [step], said
    assert step < 30
