"""Runs of two processes that split their weights: what they learn, their checkpoints, and who may go on from them."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import safetensors.torch
import torch
from tests.end_to_end.test_chunks import ALIKE, WAVES, assert_alike
from tests.end_to_end.waves import write_project

from contrapose.engine.run import load, train
from contrapose.errors import ContraposeWarning
from contrapose.plugins import configure

MORE = (
    *ALIKE,
    "train.optimizer={use: sgd, momentum: 0.9, nesterov: true}",
    "train.clip=0.05",
    "train.checkpoint_every=3",
)
NORMED = tuple(s.replace(", norm: false", "").replace("norm=none", "norm=batch") for s in MORE)
TORCHRUN = ["torch.distributed.run", "--standalone", "--nproc_per_node=2", "-m", "contrapose"]


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Path]:
    configure().load_file(WAVES)
    yield write_project(tmp_path / "project")
    configure()


def two(*words: str | Path, settings: tuple[str, ...] = ()) -> str:
    command = [sys.executable, "-m", *TORCHRUN, "train", *map(str, words), "--plugin", str(WAVES)]
    done = subprocess.run([*command, *(w for s in settings for w in ("--set", s))], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-6000:]
    return done.stdout


def cut_back(whole: Path, run: Path) -> None:
    """A copy of the run as it was after three of its six steps."""
    shutil.copytree(whole, run)
    shutil.rmtree(run / "checkpoints/step-00000006")


def test_split_or_whole_a_run_learns_the_same_and_goes_on_whole(project: Path, tmp_path: Path) -> None:
    """With BatchNorm over both processes, clipping and momentum; whatever is saved is whole."""
    one, split, alone = (tmp_path / name for name in ("one", "split", "alone"))
    train(project, set=NORMED, out=one, quiet=True)
    said = two(project, "--out", split, settings=(*NORMED, "train.shard=true", "train.sync_batchnorm=true"))
    assert "4 or 5 in each of 2 processes, which split the weights\n" in said
    assert_alike(split, one)
    assert_same_state(split, one)
    cut_back(split, alone)
    train(set=["train.shard=false"], resume=alone, plugins=[WAVES], quiet=True)
    assert_alike(alone, one)
    assert_same_state(alone, one)
    assert load(split).embed("test")


@pytest.mark.slow
def test_what_was_whole_goes_on_split(project: Path, tmp_path: Path) -> None:
    train(project, set=MORE, out=tmp_path / "one", quiet=True)
    cut_back(tmp_path / "one", tmp_path / "run")
    two("--resume", tmp_path / "run", settings=("train.shard=true",))
    assert_alike(tmp_path / "run", tmp_path / "one")
    assert_same_state(tmp_path / "run", tmp_path / "one")


@pytest.mark.slow
@pytest.mark.parametrize(
    "how", [("train.sync_batchnorm=true",), ("train.shard=true",), ("train.shard=true", "train.chunk_size=2")], ids=str
)
def test_two_processes_learn_what_one_does(project: Path, tmp_path: Path, how: tuple[str, ...]) -> None:
    settings = NORMED if "train.sync_batchnorm=true" in how else MORE
    train(project, set=settings, out=tmp_path / "one", quiet=True)
    two(project, "--out", tmp_path / "two", settings=(*settings, *how))
    assert_alike(tmp_path / "two", tmp_path / "one")
    assert_same_state(tmp_path / "two", tmp_path / "one")


def test_a_single_process_has_nothing_to_split(project: Path, tmp_path: Path) -> None:
    with pytest.warns(ContraposeWarning, match="a single process holds all of the weights") as warned:
        train(project, set=[*MORE, "train.shard=true"], out=tmp_path / "run", quiet=True)
    assert sum("a single process" in str(w.message) for w in warned) == 1


def assert_same_state(ours: Path, theirs: Path) -> None:
    states = [
        safetensors.torch.load_file(r / "checkpoints/step-00000006/optimizer.safetensors") for r in (ours, theirs)
    ]
    torch.testing.assert_close(*states, rtol=1e-4, atol=1e-5)
