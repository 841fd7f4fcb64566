"""What a notebook's cell defines is used as it stands, registered nowhere, and found again by another session."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import contrapose as cp
from contrapose.errors import CheckpointError, ConfigError
from contrapose.plugins import registry

CELLS = """
import numpy as np
import torch
from torch import nn

import contrapose as cp
from contrapose.losses.simple import Cosine


@cp.modality("hum")
class Hum:
    name, dtype = "hum", torch.float32

    def load(self, cells, root):
        return np.asarray(cells["sound"], dtype=np.float32)

    def collate(self, items):
        return torch.from_numpy(np.stack(items))

    def preview(self, data):
        return {"text/plain": str(data)}


@cp.view("hum")
def hiss(sound, rng, sigma: float = 0.1):
    return sound + rng.normal(0, sigma, sound.shape).astype(np.float32)


@cp.encoder("ear")
def ear(width: int = 8):
    net = nn.Linear(6, width)
    net.forward = lambda data: {"pooled": nn.Linear.forward(net, data)}
    net.modality, net.dims = "hum", {"pooled": width}
    return net


@cp.loss("far")
def far(distance: bool = True):
    return Cosine(distance)


def plain(sound, rng):
    return sound


config = {
    "data": "hums.jsonl",
    "modalities": {"hum": {"use": Hum, "columns": "sound"}},
    "views": {"hum": hiss},
    "encoders": {"hum": ear},
    "method": {
        "slots": ["query", "key"],
        "branches": {"online": {"views": "*", "projector": {"use": "mlp", "hidden": 8, "out": 4}}},
        "terms": {
            "near": {"query": "online", "keys": ["online"], "positives": "same(sample) and not self", "loss": far, "tau": 1.0}
        },
    },
    "train": {"steps": 2, "batch_size": 4, "device": "cpu", "threads": 1, "loggers": []},
}
"""


def run_cells(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """As IPython does: the cells are run in a ``__main__`` that has no file."""
    module = ModuleType("__main__")
    monkeypatch.setitem(sys.modules, "__main__", module)
    exec(compile(CELLS, "<ipython-input-1>", "exec"), module.__dict__)
    return module.__dict__


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [f'{{"sound": [{", ".join(str((i * j) % 7 / 7) for j in range(6))}]}}' for i in range(12)]
    (tmp_path / "hums.jsonl").write_text("\n".join(rows) + "\n")
    monkeypatch.chdir(tmp_path)


def changed(config: dict[str, Any], **parts: Any) -> dict[str, Any]:
    return {**config, **{name: {**config[name], **part} for name, part in parts.items()}}


@pytest.mark.parametrize("workers", [0, 1])
def test_objects_of_a_cell_train_unregistered(monkeypatch: pytest.MonkeyPatch, workers: int) -> None:
    cells = run_cells(monkeypatch)
    run = cp.train(changed(cells["config"], train={"workers": workers}), out="run", quiet=True)
    assert run.embed("train")["hum"].z.shape == (12, 4)
    assert not any(o.name in ("hum", "hiss", "ear", "far") for k in ("view", "encoder") for o in registry().offers(k))


def test_objects_take_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    cells = run_cells(monkeypatch)
    config = changed(cells["config"], views={"hum": {"use": [{"use": cells["hiss"], "sigma": 0.5}, cells["hiss"]]}})
    config = changed(config, encoders={"hum": {"use": cells["ear"], "width": 3}})
    run = cp.train(config, out="run", quiet=True)
    assert run.embed("train", head="pooled")["hum"].z.shape == (12, 3)
    with pytest.raises(ConfigError, match="the encoder 'ear' has no argument 'wide'; did you mean 'width'"):
        cp.train(changed(config, encoders={"hum": {"use": cells["ear"], "wide": 3}}), out="other", quiet=True)
    term = {**config["method"]["terms"]["near"], "loss": {"use": cells["far"], "distant": True}}
    with pytest.raises(ConfigError, match="the loss 'far' has no argument 'distant'; did you mean 'distance'"):
        cp.train(changed(config, method={"terms": {"near": term}}), out="other", quiet=True)


def test_another_session_loads_and_resumes_with_the_config(monkeypatch: pytest.MonkeyPatch) -> None:
    cp.train(run_cells(monkeypatch)["config"], out="run", quiet=True)
    with pytest.raises(CheckpointError, match=r"is a Python object, .*give the config again"):
        cp.load("run")
    again = run_cells(monkeypatch)["config"]  # the same cells, other objects
    assert len(cp.load("run", again).embed("train")["hum"]) == 12
    cp.train(changed(again, train={"steps": 4}), resume="run", quiet=True)


def test_names_work_once_they_are_added(monkeypatch: pytest.MonkeyPatch) -> None:
    cells = run_cells(monkeypatch)
    registry().add("view", "hiss", cells["hiss"])
    try:
        cp.train(changed(cells["config"], views={"hum": {"use": "hiss", "sigma": 0.2}}), out="run", quiet=True)
    finally:
        registry()._own.clear()


def test_a_function_without_decorator_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    cells = run_cells(monkeypatch)
    with pytest.raises(ConfigError, match=r"plain is no view generator; write @contrapose.view\('hum'\) above its def"):
        cp.train(changed(cells["config"], views={"hum": cells["plain"]}), out="run", quiet=True)


def test_workers_that_are_started_not_forked_are_refused_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    cells = run_cells(monkeypatch)
    monkeypatch.setattr("contrapose.data.workers.sys.platform", "darwin")
    with pytest.raises(ConfigError, match=r"train\.workers: what is defined in a notebook can't be sent to worker"):
        cp.train(changed(cells["config"], train={"workers": 1}), out="run", quiet=True)
