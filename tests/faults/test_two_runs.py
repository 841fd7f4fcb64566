"""Two runs into one folder: the second is refused, and changes nothing."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.faults.helpers import the_error, train, waves_alone

from contrapose.engine import run as engine
from contrapose.engine.folder import only_writer


@contextmanager
def another_training(folder: Path) -> Iterator[None]:
    """Another process holds the folder."""
    ready = folder.with_suffix(".ready")
    child = os.fork()
    if child == 0:
        with only_writer(folder):
            ready.touch()
            time.sleep(60)
        os._exit(0)
    while not ready.exists():
        time.sleep(0.005)
    try:
        yield
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def files(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_run_that_is_being_trained_is_not_resumed(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    config, run = waves_alone(tmp_path / "project", train=", steps: 5, loggers: []"), tmp_path / "run"
    assert train(config, "--out", run) == 0
    before = files(run)
    with another_training(run):
        assert train("--resume", run, "--set", "train.steps=9") == 1
        assert f"another process is training into {run}" in the_error(capsys.readouterr().err)
        assert train(config, "--out", run) == 1
        assert "already holds a run" in the_error(capsys.readouterr().err)
    assert files(run) == before
    assert train("--resume", run, "--set", "train.steps=9") == 0


def test_of_two_that_start_at_once_one_is_refused(tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both found the folder free; the other was first to write into it, or has even ended since."""
    config, run = waves_alone(tmp_path / "project", train=", steps: 5, loggers: []"), tmp_path / "run"
    with another_training(run):
        assert train(config, "--out", run) == 1
        assert "another process is training into" in the_error(capsys.readouterr().err)
        assert not (run / "config.yaml").exists()
    prepare = engine._prepare

    def slow(*arguments):
        (run / "config.yaml").write_text("of the other")
        return prepare(*arguments)

    monkeypatch.setattr(engine, "_prepare", slow)
    assert train(config, "--out", run) == 1
    assert "already holds a run" in the_error(capsys.readouterr().err)
    assert (run / "config.yaml").read_text() == "of the other"
