"""Whether a resumed run ends as one that was never stopped."""

from __future__ import annotations

import copy
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from contrapose.config import Config
from contrapose.engine.run import train
from contrapose.testing.compare import stir

HINT = "keep state in parameters or persistent buffers, and draw from (seed, step, row), never from what went before"


def assert_resume_exact(
    config: str | Path | Mapping[str, Any] | Config,
    *,
    steps: int = 6,
    stop: int = 3,
    set: Sequence[str] = (),
    plugins: Sequence[str | Path] = (),
) -> None:
    """Fail unless a run that is stopped after ``stop`` of ``steps`` steps and resumed ends in the bits of one that was not.

    Compares weights, buffers (queues, banks, twins, statistics), the optimiser's state and every step's metrics. ::

        def test_my_source_resumes():
            assert_resume_exact("my.yaml", steps=8, stop=5)

    Let an epoch begin after ``stop`` where a source works at its beginning (centroids).

    Args:
        config: as for ``contrapose.train``; objects in it are copied for each run.
        steps: of the whole run, which replace ``train.epochs``.
        stop: after which step the run stops.
        set: overrides, as for ``contrapose.train``.
        plugins: Python files whose components the config uses.

    Raises:
        AssertionError: with the first thing that differs.
        ContraposeError: the config can't be trained.
    """
    if not 0 < stop < steps:
        raise ValueError(f"stop={stop} doesn't lie between 0 and steps={steps}")
    wanted = [*set, f"train.steps={steps}", f"train.checkpoint_every={stop}", "train.keep=1000", "train.loggers=[]"]
    with tempfile.TemporaryDirectory() as folder:
        whole, resumed = Path(folder) / "whole", Path(folder) / "resumed"
        stir(0)
        train(copy.deepcopy(config), set=wanted, plugins=plugins, out=whole, quiet=True)
        shutil.copytree(whole, resumed)
        for later in sorted((resumed / "checkpoints").glob("step-*"))[1:]:
            shutil.rmtree(later)
        stir(1)
        train(copy.deepcopy(config), set=wanted, plugins=plugins, resume=resumed, quiet=True)
        a, b = ((run / "metrics.csv").read_text().splitlines() for run in (whole, resumed))
        _same_metrics(a, b, stop)
        for part in ("model", "optimizer"):
            file = f"checkpoints/step-{steps:08d}/{part}.safetensors"
            x, y = (safetensors.torch.load_file(run / file) for run in (whole, resumed))
            _same_tensors(part, x, y, stop)


def _same_metrics(whole: list[str], resumed: list[str], stop: int) -> None:
    names = whole[0].split(",")
    for n, (a, b) in enumerate(zip(whole[1:], resumed[1:], strict=True), 1):
        for name, x, y in zip(names, a.split(","), b.split(","), strict=True):
            if x != y:
                raise AssertionError(f"resumed after step {stop}, {name} of step {n} is {y}, not {x}: {HINT}")


def _same_tensors(part: str, whole: dict[str, Tensor], resumed: dict[str, Tensor], stop: int) -> None:
    if whole.keys() != resumed.keys():
        raise AssertionError(
            f"resumed after step {stop}, the {part} lacks or adds {sorted(whole.keys() ^ resumed.keys())}"
        )
    for name, tensor in whole.items():
        other = resumed[name]
        equal = tensor.dtype == other.dtype and tensor.shape == other.shape
        if not (equal and torch.equal(tensor.view(-1).view(torch.uint8), other.view(-1).view(torch.uint8))):
            raise AssertionError(f"resumed after step {stop}, {name} of the {part} is other than without: {HINT}")
