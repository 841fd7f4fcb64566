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
from tests.end_to_end.test_chunks import ALIKE, WAVES, assert_alike, losses, weights
from tests.end_to_end.waves import write_project

from contrapose.engine.run import load, train
from contrapose.plugins import configure

MORE = (*ALIKE, "train.optimizer={use: sgd, momentum: 0.9, nesterov: true}", "train.clip=0.05", "train.checkpoint_every=3")
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


def cut_back(whole: Path, run: Path) -> Path:
    """A copy of the run as it was after three of its six steps."""
    shutil.copytree(whole, run)
    shutil.rmtree(run / "checkpoints/step-00000006")
    return run


def test_split_or_whole_a_run_learns_the_same_and_goes_on_either_way(project: Path, tmp_path: Path) -> None:
    """With BatchNorm over both processes, clipping and momentum."""
    one, split = tmp_path / "one", tmp_path / "split"
    train(project, set=NORMED, out=one, quiet=True)
    two(project, "--out", split, settings=(*NORMED, "train.shard=true", "train.sync_batchnorm=true"))
    assert_alike(split, one)
    state = [safetensors.torch.load_file(r / "checkpoints/step-00000006/optimizer.safetensors") for r in (split, one)]
    torch.testing.assert_close(*state, rtol=1e-4, atol=1e-5)
    alone = cut_back(split, tmp_path / "alone")
    train(set=["train.shard=false"], resume=alone, plugins=[WAVES], quiet=True)
    assert_alike(alone, one)
    again = cut_back(one, tmp_path / "again")
    two("--resume", again, settings=("train.shard=true",))
    assert losses(again)[:3] == losses(one)[:3]
    assert load(split).embed("test")
