"""A run goes on elsewhere: on more or fewer processes, another clock, host or version."""

from __future__ import annotations

import json
import platform
import random
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.faults.helpers import PLUGINS, kept, outcome, the_error, train, waves_alone

from contrapose.config.yaml import dump, read
from contrapose.engine.origin import changes

RECORD = Path(__file__).with_name("record.py")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    settings = ", batch_size: 7, checkpoint_every: 7, keep: 9, loggers: []"
    config = waves_alone(tmp_path / "project", train=settings)
    config.write_text(config.read_text().replace("batch_size: 8, ", ""))
    return config  # 5 steps in each of 4 epochs


def cut_back(whole: Path, run: Path, step: int) -> None:
    """A copy of a run as it was when the checkpoint of ``step`` had been saved."""
    shutil.copytree(whole, run)
    for later in kept(run):
        if later > step:
            shutil.rmtree(run / "checkpoints" / f"step-{later:08d}")


def recorded(notes: Path, processes: int, *words: object) -> tuple[dict[int, list[int]], str]:
    """The samples of each step over all processes, and what the command said."""
    launch = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"] if processes > 1 else []
    command = [sys.executable, *launch, str(RECORD), str(notes), "train", *PLUGINS, *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    seen: dict[int, list[int]] = {}
    for rank in range(processes):
        for line in Path(f"{notes}.{rank}").read_text().splitlines():
            step, *ids = map(int, line.split())
            seen.setdefault(step, []).extend(ids)
    return seen, done.stdout


def test_on_another_number_of_processes_no_sample_of_the_epoch_is_lost_or_repeated(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    whole, run, back = tmp_path / "whole", tmp_path / "run", tmp_path / "back"
    one, _ = recorded(tmp_path / "one", 1, project, "--out", whole)
    assert sorted(one) == list(range(20))
    cut_back(whole, run, 7)
    two, said = recorded(tmp_path / "two", 2, "--resume", run)
    assert said.count("saved by 1 process, going on by 2 processes: the same samples in the same batches") == 1
    assert two == {step: ids for step, ids in one.items() if step >= 7}
    epoch = [i for step in (5, 6) for i in one[step]] + [i for step in (7, 8, 9) for i in two[step]]
    assert len(set(epoch)) == len(epoch) == 35
    assert json.loads((run / "checkpoints/step-00000020/state.json").read_text())["processes"] == 2
    cut_back(run, back, 14)
    again, said = recorded(tmp_path / "again", 1, "--resume", back)
    assert "saved by 2 processes, going on by 1 process" in said
    assert again == {step: ids for step, ids in one.items() if step >= 14}


def test_what_changed_is_said_and_no_error() -> None:
    here = {"processes": 1, "device": "cuda", "threads": 2, "chunk_size": None, "versions": {"torch": "2.13"}}
    assert changes(here, here) == []
    assert changes({"fingerprint": "of an older version"}, here) == []
    there = {"processes": 1, "device": "cpu", "threads": 1, "chunk_size": 64, "versions": {"torch": "2.14"}}
    assert [line.split(":")[0] for line in changes(here, there)] == [
        "saved on cuda, going on on cpu",
        "saved with 2 threads, going on with 1 thread",
        "saved in whole batches, going on in chunks of 64",
        "saved with torch 2.13, going on with torch 2.14",
    ]


def test_another_number_of_threads_is_a_line(project: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert train(project, "--out", tmp_path / "whole") == 0
    cut_back(tmp_path / "whole", tmp_path / "run", 14)
    capsys.readouterr()
    assert train("--resume", tmp_path / "run", "--set", "train.threads=2") == 0
    assert "saved with 1 thread, going on with 2 threads: the bits may differ" in capsys.readouterr().out


def test_a_run_of_an_older_version_goes_on_though_there_are_new_keys(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    """Its ``config.yaml`` and ``state.json`` don't know what was added since."""
    whole, run = tmp_path / "whole", tmp_path / "run"
    assert train(project, "--out", whole) == 0
    cut_back(whole, run, 7)
    tree = read(run / "config.yaml").data
    for key in ("chunk_batchnorm", "drop_last", "precision", "loggers"):
        del tree["train"][key]
    del tree["evaluate"]
    tree["train"].pop("together", None)
    (run / "config.yaml").write_text(dump(tree))
    state = run / "checkpoints/step-00000007/state.json"
    known = {k: v for k, v in json.loads(state.read_text()).items() if k in ("format", "fingerprint", "step", "files")}
    state.write_text(json.dumps(known))
    assert train("--resume", run, "--set", "train.drop_last=false") == 1
    assert "train.drop_last: the run was started with True, not False" in the_error(capsys.readouterr().err)
    assert train("--resume", run) == 0
    assert "saved" not in capsys.readouterr().out.split("resuming")[1].splitlines()[1]
    assert outcome(run) == outcome(whole)


def test_clock_and_host_change_nothing(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The day jumps to and fro while the run goes on, on a machine of another name; loggers that note the time are on."""
    whole, run = tmp_path / "whole", tmp_path / "run"
    assert train(project, "--out", whole, "--set", "train.loggers=[tensorboard]") == 0
    cut_back(whole, run, 7)
    monkeypatch.setattr(time, "time", lambda: random.uniform(0, 4e9))
    for module, name in ((socket, "gethostname"), (platform, "node")):
        monkeypatch.setattr(module, name, lambda: "elsewhere")
    assert train("--resume", run) == 0
    assert outcome(run) == outcome(whole)
