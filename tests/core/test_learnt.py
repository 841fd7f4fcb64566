"""Views that learn from the run, with an invented one: when they look, what they see, and what a checkpoint keeps."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from tests.end_to_end.waves import write_project

import contrapose
from contrapose.config import Config
from contrapose.engine.build import Parts
from contrapose.engine.checkpoint import read
from contrapose.engine.learnt import LearntViews
from contrapose.errors import CheckpointError
from contrapose.plugins import configure
from contrapose.testing import assert_resume_exact
from contrapose.types import Sample, View
from contrapose.views import Identity

WAVES = Path(__file__).parents[1] / "end_to_end/waves.py"


class Louder:
    """A wave, times what its embedding says."""

    modality = "wave"

    def __init__(self, every: int = 2) -> None:
        self.every, self.seen = every, torch.zeros(0)

    def __call__(self, sample: Sample, rng: np.random.Generator) -> list[View]:
        factor = float(self.seen[sample.id]) if len(self.seen) else 1.0
        return [View("", "wave", np.float32(factor + 0.01 * rng.random()) * sample.data["wave"])]

    def refresh(self, look: Any, clock: Any) -> bool:
        if int(clock.epoch) % self.every != 1:
            return False
        found = {}
        for rows in look(Identity("wave"), "online.pooled"):
            found |= dict(zip(rows.meta["sample"].tolist(), rows.z.sum(dim=1).sigmoid().tolist(), strict=True))
        self.seen = torch.tensor([found.get(i, 1.0) for i in range(max(found) + 1)])
        return True

    def state_dict(self) -> dict[str, Any]:
        return {"seen": self.seen} if len(self.seen) else {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.seen = torch.as_tensor(state["seen"])


@pytest.fixture
def config(tmp_path: Path) -> Config:
    configure().load_file(WAVES)
    written = write_project(tmp_path / "project", train=", loggers: []")
    made = Config.load(written)
    one = {"modalities": {"wave": "wave"}, "encoders": {"wave": "wave-net"}, "method": "simclr"}
    tree = {
        **made.data,
        **one,
        "views": {"wave": ["wobble", Louder()]},
        "data": str(written.parent / made.data["data"]),
    }
    return Config.of({k: v for k, v in tree.items() if k != "evaluate"})


def test_what_it_found_is_in_checkpoints_and_for_workers_too(config: Config, tmp_path: Path) -> None:
    runs = [  # of copies: the first would leave in its object what it found
        contrapose.train(copy.deepcopy(config), set=[f"train.workers={n}"], out=tmp_path / str(n), quiet=True)
        for n in (0, 2)
    ]
    metrics = [[line.split(",")[:4] for line in (run.dir / "metrics.csv").read_text().splitlines()] for run in runs]
    assert metrics[0] == metrics[1]
    last = sorted((runs[0].dir / "checkpoints").glob("step-*"))[-1]
    found = safetensors.torch.load_file(last / "views.safetensors")
    (louder,) = runs[0].parts.plan.learning.values()
    assert list(found) == ["wave/1/seen"]
    assert torch.equal(found["wave/1/seen"], louder.seen)
    assert read(last).tensors("views").keys() == found.keys()
    configure()


def test_a_resumed_run_sees_what_it_saw(config: Config) -> None:
    """Stopped in the second epoch, after it looked at its beginning."""
    per_epoch = len(Parts(config).train_loader())
    assert_resume_exact(config, steps=2 * per_epoch + 1, stop=per_epoch + 1)
    configure()


def test_what_fits_no_view_is_refused(config: Config) -> None:
    parts = Parts(config)
    learnt = LearntViews(parts.plan, lambda view, ref: iter(()), parts.train_loader())
    assert learnt.state() == {}
    with pytest.raises(CheckpointError, match="what a view 'wave/7' found"):
        learnt.load({"wave/7/seen": torch.zeros(1)})
    configure()


def test_a_plan_without_such_views_keeps_nothing(config: Config, tmp_path: Path) -> None:
    plain = Config.of({**config.data, "views": {"wave": "wobble"}})
    run = contrapose.train(plain, set=["train.steps=1"], out=tmp_path / "run", quiet=True)
    assert not list(run.dir.rglob("views.safetensors"))
    configure()
