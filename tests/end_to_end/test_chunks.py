"""Runs in chunks: on one process and on two, with bf16 and clipping, resumed, and refused in one line."""

from __future__ import annotations

import csv
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import safetensors.torch
import torch
from tests.end_to_end.waves import write_project

from contrapose.engine.run import train
from contrapose.errors import ConfigError
from contrapose.plugins import configure
from contrapose.testing import assert_resume_exact

WAVES = Path(__file__).with_name("waves.py")
NO_BATCHNORM = (
    "encoders.wave={use: wave-net, norm: false}",
    "encoders.echo={use: echo-net, norm: false}",
    "method.branches.online.projector.norm=none",
)
CHUNKS = (*NO_BATCHNORM, "train.chunk_size=3")
ALIKE = (
    "encoders.wave={use: wave-net, norm: false, dropout: 0.0}",
    "encoders.echo={use: echo-net, norm: false, dropout: 0.0}",
    "method.branches.online.projector.norm=none",
    "train.batch_size=9",
    "train.steps=6",
    "train.optimizer=sgd",
    "train.lr=0.1",
    "train.loggers=[]",
)
"""Nothing by which the number of processes, or chunks, would change what is learnt."""


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Path]:
    configure().load_file(WAVES)
    yield write_project(tmp_path / "project")
    configure()


def losses(run: Path) -> list[float]:
    with open(run / "metrics.csv") as f:
        return [float(row["loss"]) for row in csv.DictReader(f)]


def weights(run: Path) -> dict[str, torch.Tensor]:
    return safetensors.torch.load_file(max((run / "checkpoints").glob("step-*")) / "model.safetensors")


def assert_alike(ours: Path, theirs: Path) -> None:
    assert losses(ours) == pytest.approx(losses(theirs), abs=1e-5)
    found = weights(ours)
    for name, tensor in weights(theirs).items():
        torch.testing.assert_close(found[name], tensor, rtol=1e-4, atol=1e-5, msg=lambda m, n=name: f"{n}: {m}")


def test_chunks_change_nothing_that_is_learnt(project: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    train(project, set=ALIKE, out=tmp_path / "whole", quiet=True)
    train(project, set=[*ALIKE, "train.chunk_size=4"], out=tmp_path / "chunks")
    assert "batches of 9 samples, 4 at a time through the encoders\n" in capsys.readouterr().out
    assert_alike(tmp_path / "chunks", tmp_path / "whole")


@pytest.mark.parametrize("chunk", [None, pytest.param(2, marks=pytest.mark.slow)])
def test_two_processes_learn_what_one_does(project: Path, tmp_path: Path, chunk: int | None) -> None:
    train(project, set=ALIKE, out=tmp_path / "one", quiet=True)
    settings = [*ALIKE, *([f"train.chunk_size={chunk}"] if chunk else [])]
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", "-m", "contrapose"]
    command += ["train", str(project), "--plugin", str(WAVES), "--out", str(tmp_path / "two")]
    done = subprocess.run([*command, *(w for s in settings for w in ("--set", s))], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    said = "batches of 9 samples, 4 or 5 in each of 2 processes" + (", 2 at a time" if chunk else "\n")
    assert said in done.stdout
    assert_alike(tmp_path / "two", tmp_path / "one")


def test_dropout_in_chunks_resumes_exactly(project: Path) -> None:
    assert_resume_exact(project, set=CHUNKS, steps=8, stop=3)
    accepted = ["train.chunk_size=3", "train.chunk_batchnorm=true", "train.precision=bf16", "train.clip=0.1"]
    assert_resume_exact(project, set=accepted, steps=4, stop=3)


def test_batchnorm_is_refused_before_a_folder_is_made(project: Path, tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"train\.chunk_size: encoders\.wave\.net\.1 is a BatchNorm: .*chunk_batchnorm"
    ):
        train(project, set=["train.chunk_size=3"], out=tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()
