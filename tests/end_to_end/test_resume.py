"""Killed at any moment and resumed, a run ends in the same bits as one that was never killed."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.end_to_end.waves import write_project

from contrapose.engine.folder import only_writer
from contrapose.engine.run import train
from contrapose.errors import ContraposeError
from contrapose.plugins import configure

WAVES = Path(__file__).with_name("waves.py")
SETTINGS = (
    "train.epochs=6",
    "train.checkpoint_every=7",
)  # 5 steps an epoch: checkpoints fall into the middle of epochs


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Path]:
    configure().load_file(WAVES)
    yield write_project(tmp_path / "project")
    configure()


def outcome(run: Path) -> dict[str, bytes]:
    last = max((run / "checkpoints").glob("step-*"))
    files = [run / "metrics.csv", last / "model.safetensors", last / "optimizer.safetensors"]
    return {f.name: f.read_bytes() for f in files}


def train_and_die(config: Path, run: Path, settings: tuple[str, ...], after: float) -> bool:
    """Train in a forked process, kill -9 it ``after`` seconds from its first step; whether it was killed before its end."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            train(config, set=settings, out=run, quiet=True)
            code = 0
        finally:
            os._exit(code)
    while not (run / "metrics.csv").exists():
        time.sleep(0.005)
    time.sleep(after)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def test_kill_at_random_moments_then_resume(project: Path, tmp_path: Path) -> None:
    began = time.monotonic()
    train(project, set=SETTINGS, out=tmp_path / "whole", quiet=True)
    seconds = time.monotonic() - began
    killed = 0
    for attempt in range(2):
        moment = random.uniform(0, seconds)
        run = tmp_path / f"killed-{attempt}"
        killed += train_and_die(project, run, SETTINGS, moment)
        train(resume=run, quiet=True)
        assert outcome(run) == outcome(tmp_path / "whole"), f"killed {moment:.3f} s after the first step"
    print(f"{killed} of 2 runs were killed before their end")


def test_kill_by_the_command_line_with_workers(project: Path, tmp_path: Path) -> None:
    """The whole way: another process, two workers, killed in the middle of an epoch: equal to no workers, no kill."""
    train(project, set=SETTINGS, out=tmp_path / "whole", quiet=True)
    run = tmp_path / "killed"
    command = [sys.executable, "-m", "contrapose", "train", "--plugin", str(WAVES), "--set", "train.workers=2"]
    settings = [word for s in SETTINGS for word in ("--set", s)]
    process = subprocess.Popen([*command, str(project), *settings, "--out", str(run)], stdout=subprocess.DEVNULL)
    while process.poll() is None and not list((run / "checkpoints").glob("step-*")):
        time.sleep(0.005)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    done = subprocess.run([*command, "--resume", str(run)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "resuming" in done.stdout
    assert outcome(run) == outcome(tmp_path / "whole")


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_asked_to_stop_a_run_saves_and_says_how_to_go_on(project: Path, tmp_path: Path, signum: int) -> None:
    train(project, set=SETTINGS, out=tmp_path / "whole", quiet=True)
    run = tmp_path / "stopped"
    child = os.fork()
    if child == 0:
        from contrapose.cli import main

        settings = [word for s in SETTINGS for word in ("--set", s)]
        with open(tmp_path / "err", "w") as sys.stderr, open(os.devnull, "w") as sys.stdout:
            code = main(["train", str(project), *settings, "--out", str(run), "--plugin", str(WAVES)])
        os._exit(code)
    while not (run / "metrics.csv").exists() or not (run / "metrics.csv").read_text():
        time.sleep(0.005)
    os.kill(child, signum)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 128 + signum
    said = (tmp_path / "err").read_text()
    assert f"contrapose train --resume {run}" in said
    assert "Traceback" not in said
    step = int(said.split("stopped after step ")[1].split()[0])
    assert (run / "checkpoints" / f"step-{step:08d}").is_dir()
    train(resume=run, quiet=True)
    assert outcome(run) == outcome(tmp_path / "whole")


def test_a_longer_run_goes_on_where_the_shorter_ended(project: Path, tmp_path: Path) -> None:
    short = train(project, set=["train.epochs=1", "train.schedule=constant"], out=tmp_path / "run", quiet=True)
    assert len((short.dir / "metrics.csv").read_text().splitlines()) == 1 + 5
    train(resume=short.dir, set=["train.epochs=3"], quiet=True)
    train(project, set=["train.epochs=3", "train.schedule=constant"], out=tmp_path / "long", quiet=True)
    assert outcome(tmp_path / "run") == outcome(tmp_path / "long")


def test_sources_that_need_each_epoch_resume_exactly(project: Path, tmp_path: Path) -> None:
    settings = [
        "method=pcl",
        "train.epochs=4",
        "train.checkpoint_every=7",
        "modalities={wave: wave}",
        "views={wave: wobble}",
    ]
    settings += [
        "encoders={wave: wave-net}",
        "method.sources.centroids.counts=[3, 4, 5]",
        "method.sources.centroids.start={epochs: 1}",
        "method.sources.queue.size=64",
    ]
    train(project, set=settings, out=tmp_path / "whole", quiet=True)
    train(project, set=settings, out=tmp_path / "run", quiet=True)
    (newest := max((tmp_path / "run" / "checkpoints").iterdir())).rename(tmp_path / "gone")
    assert newest.name == "step-00000020"
    train(resume=tmp_path / "run", quiet=True)
    assert outcome(tmp_path / "run") == outcome(tmp_path / "whole")


def test_a_killed_runs_workers_hold_nothing(tmp_path: Path) -> None:
    """Loader workers outlive a killed run by some seconds: meanwhile the run can be resumed, but not trained into twice."""
    child = os.fork()
    if child == 0:
        with only_writer(tmp_path):
            if os.fork() == 0:  # a worker
                time.sleep(30)
                os._exit(0)
            (tmp_path / "ready").touch()
            time.sleep(30)
        os._exit(0)
    while not (tmp_path / "ready").exists():
        time.sleep(0.005)
    with pytest.raises(ContraposeError, match="another process is training into"), only_writer(tmp_path):
        pass
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    with only_writer(tmp_path):
        pass
