"""No memory, no disk, a dead worker, a number that isn't finite: one line, and a run that can go on."""

from __future__ import annotations

import os
import resource
import shlex
import sys
import time
from pathlib import Path

import pytest
from tests.faults.helpers import kept, outcome, start, the_error, train, waves_alone


@pytest.mark.parametrize("kind", ["gpu", "cpu", "python"])
@pytest.mark.parametrize("after", [0, 12])
def test_out_of_memory_names_the_knob_and_the_run_goes_on_by_it(tmp_path: Path, capsys, kind: str, after: int) -> None:
    net = f"{{use: hungry-net, most: 4, kind: {kind}, after: {after}}}"
    config = waves_alone(tmp_path / "project", net, train=", checkpoint_every: 2, steps: 12")
    run = tmp_path / "run"
    assert train(config, "--out", run) == 1
    error = the_error(capsys.readouterr().err)
    assert "out of memory with 8 samples at a time" in error
    assert "below 8" in error
    assert bool(after) == bool((run / "checkpoints").exists())
    words = shlex.split(error.split("go on with contrapose train ")[1].split(" (")[0])
    assert words[-1] == "train.chunk_size=4"
    assert train(*words) == 0
    out = capsys.readouterr().out
    assert ("saved in whole batches, going on in chunks of 4: the same gradient" in out) == bool(after)
    assert kept(run)[-1] == 12


def test_out_of_memory_with_batchnorm_does_not_promise_the_same_gradient(tmp_path: Path, capsys) -> None:
    config = waves_alone(tmp_path / "project", "hungry-net")
    config.write_text(config.read_text().replace(", norm: none", ""))
    assert train(config, "--out", tmp_path / "run") == 1
    error = the_error(capsys.readouterr().err)
    assert "start anew with train.chunk_size=4 (GradCache) and a network without BatchNorm" in error
    assert "train.batch_size below 8" in error
    assert train(config, "--out", tmp_path / "synced", "--set", "train.sync_batchnorm=true") == 1
    assert "or train.sync_batchnorm=false and train.chunk_batchnorm=true" in the_error(capsys.readouterr().err)


def test_out_of_memory_with_one_sample_at_a_time(tmp_path: Path, capsys) -> None:
    config = waves_alone(tmp_path / "project", "{use: hungry-net, most: 0}", train=", chunk_size: 1")
    assert train(config, "--out", tmp_path / "run") == 1
    assert "set train.batch_size below 8" in the_error(capsys.readouterr().err)


def test_a_gradient_that_overflows_does_not_reach_a_checkpoint(tmp_path: Path, capsys) -> None:
    """The loss of the step is finite, so only the weights tell, in the checkpoint that would hold them."""
    net = "{use: overflowing-net, after: 8}"
    config = waves_alone(tmp_path / "project", net, train=", checkpoint_every: 1, keep: 1, steps: 12, loggers: []")
    run = tmp_path / "run"
    assert train(config, "--out", run) == 1
    error = the_error(capsys.readouterr().err)
    step = kept(run)[0] + 1
    assert f"aren't finite after step {step}, though its loss is: a gradient overflowed, samples " in error
    assert "encoders.wave.net.weight" in error
    assert len(error.split("samples ")[1].split(":")[0].split(", ")) == 8


def test_a_term_that_is_not_finite_is_named_among_others(tmp_path: Path, capsys) -> None:
    net = "{use: nan-net, after: 9}"
    config = waves_alone(tmp_path / "project", net, train=", checkpoint_every: 1, steps: 12, loggers: []")
    fine = "    fine: {query: key, loss: nce, keys: [key], tau: 1}\n"
    config.write_text(config.read_text().replace("  terms:\n", f"  terms:\n{fine}"))
    run = tmp_path / "run"
    assert train(config, "--out", run) == 1
    error = the_error(capsys.readouterr().err)
    assert "term 'info_nce' of the loss is nan at step " in error
    assert kept(run)[-1] == int(error.split("at step ")[1].split(",")[0]) - 1


def test_a_worker_that_dies_is_one_line_and_the_run_goes_on(tmp_path: Path) -> None:
    sign = tmp_path / "sign"
    config = waves_alone(tmp_path / "project", view=f"{{use: deadly, sign: {sign}}}", train=", workers: 2, loggers: []")
    settings = ("--set", "train.epochs=40", "--set", "train.checkpoint_every=7")
    assert train(config, "--out", tmp_path / "whole", *settings, "--set", "train.workers=0") == 0
    run = tmp_path / "run"
    process = start(config, "--out", run, *settings)
    while process.poll() is None and not list((run / "checkpoints").glob("step-*")):
        time.sleep(0.005)
    sign.touch()
    assert "a worker process died" in the_error(process.communicate()[1])
    assert process.returncode == 1
    assert kept(run)[-1] < 200
    assert train("--resume", run) == 0
    assert outcome(run) == outcome(tmp_path / "whole")


@pytest.mark.parametrize("loggers", ["[]", "[tensorboard]"])
def test_a_disk_that_fills_up_while_logging(tmp_path: Path, loggers: str) -> None:
    """Real writes that fail, in a process whose files may not grow; then there is room, and the run goes on."""
    config = waves_alone(tmp_path / "project", train=f", loggers: {loggers}, steps: 80, checkpoint_every: 60")
    assert train(config, "--out", tmp_path / "whole") == 0
    run = tmp_path / "run"
    child = os.fork()
    if child == 0:
        with open(tmp_path / "err", "w", buffering=1) as sys.stderr:
            resource.setrlimit(resource.RLIMIT_FSIZE, (6000, 6000))
            os._exit(train(config, "--out", run))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1
    error = the_error((tmp_path / "err").read_text())
    assert f"can't write to the run folder {run}: " in error
    assert f"contrapose train --resume {run}" in error
    assert train("--resume", run) == 0
    assert outcome(run) == outcome(tmp_path / "whole")
