"""What is fitted on the training split: before anything is loaded, on that split alone, saved, applied ever after."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import contrapose as cp
from contrapose.data import make_loader
from contrapose.engine.build import Parts
from contrapose.errors import ConfigError
from contrapose.plugins import configure
from contrapose.types import Sample, View


class Gauge:
    """Numbers of several columns, as multiples of the largest one of the training split."""

    name, dtype = "gauge", torch.float32

    def __init__(self, factor: float = 1.0) -> None:
        self.factor, self.largest, self.fits = factor, 0.0, 0

    def fit(self, cells, root) -> None:
        self.fits += 1
        self.largest = max(v for row in cells for v in row.values() if v is not None)

    def state_dict(self):
        return {"largest": self.largest}

    def load_state_dict(self, state) -> None:
        self.largest = state["largest"]

    def facts(self):
        return {"largest": self.largest}

    def load(self, cells, root):
        return np.array([self.factor * (v or 0) / self.largest for v in cells.values()], np.float32)

    def collate(self, items):
        return torch.from_numpy(np.stack(items))

    def preview(self, data):
        return {"text/plain": str(data)}


class Shuffle:
    """Adds a training value; its batched form adds 1,000, to be told apart."""

    modality = "gauge"

    def fit(self, samples) -> None:
        self.values = np.array([v for s in samples for v in s.data["gauge"]], np.float32)

    def state_dict(self):
        return {"values": self.values}

    def load_state_dict(self, state) -> None:
        self.values = state["values"]

    def __call__(self, sample: Sample, rng: np.random.Generator) -> list[View]:
        return [View("", "gauge", sample.data["gauge"] + rng.choice(self.values))]

    def batched(self, data: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        return data + 1000 + torch.rand(len(data), 1, generator=generator)


@cp.view("gauge")
def negate(data, rng):
    """A view without a batched form."""
    return -data


class Net(nn.Module):
    modality = "gauge"

    def __init__(self, largest: float, width: int = 4) -> None:
        super().__init__()
        self.dims, self.largest, self.net = {"pooled": width}, largest, nn.Linear(2, width)

    def forward(self, data):
        return {"pooled": self.net(data)}


@pytest.fixture
def config(tmp_path: Path) -> Iterator[dict]:
    configure()
    for kind, name, component in (("modality", "gauge", Gauge), ("view", "shuffle", Shuffle), ("encoder", "net", Net)):
        cp.registry().add(kind, name, component)
    cp.registry().add("view", "negate", negate)
    rows = [{"a": i, "b": i + 1 if i % 3 else None, "part": "train" if i < 12 else "test"} for i in range(16)]
    (tmp_path / "things.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    yield {
        "data": str(tmp_path / "things.jsonl"),
        "split": {"column": "part"},
        "modalities": {"gauge": {"columns": ["a", "b"], "factor": 2.0}},
        "views": {"gauge.a": "shuffle", "gauge.b": "identity"},
        "encoders": {"gauge": "net"},
        "method": "simclr",
        "train": {"epochs": 1, "batch_size": 4, "threads": 1, "device": "cpu"},
    }
    configure()


def test_a_modality_is_fitted_once_on_the_training_split_and_then_loads(config: dict) -> None:
    parts = Parts(cp.Config.of(config))
    method = parts.make_method()
    assert parts.modalities["gauge"].fits == 1
    assert method.encoders["gauge"].largest == 12, "of rows 0 to 11, not of the test split"
    assert parts.splits["test"][0].data["gauge"].tolist() == pytest.approx([2 * 12 / 12, 0], rel=1e-6)
    assert parts.plan.generators["gauge.a"].values.max() == 2.0
    assert len(parts.plan.generators["gauge.a"].values) == 24


def test_it_is_saved_with_the_run_and_applied_to_other_data(config: dict, tmp_path: Path) -> None:
    trained = cp.train(config, out=tmp_path / "run", quiet=True)
    (tmp_path / "things.jsonl").write_text('{"a": 120, "b": 1, "part": "train"}\n' * 8)
    run = cp.load(tmp_path / "run")
    found = run.embed(tmp_path / "things.jsonl")["gauge"]
    assert run.parts.modalities["gauge"].largest == 12
    assert run.parts.modalities["gauge"].fits == 0
    assert run.parts.facts("gauge") == {"largest": 12}
    expected = trained.method.encoders["gauge"](torch.tensor([[20.0, 2 / 12]]))["pooled"]
    pooled = run.embed(tmp_path / "things.jsonl", head="pooled")["gauge"].z
    assert np.allclose(pooled[0], expected.detach().numpy()[0], atol=1e-5)
    assert len(found) == 8


@pytest.mark.parametrize("workers", [0, 2])
def test_a_batched_view_is_made_of_the_whole_batch_after_the_workers(config: dict, workers: int) -> None:
    config["views"] = {"gauge.a": {"use": "shuffle", "batched": True}, "gauge.b": "identity"}
    config["train"]["workers"] = workers
    parts = Parts(cp.Config.of(config))

    def epoch(number: int, start: int = 0, rank: int = 0, world: int = 1) -> list:
        loader = parts.train_loader(rank, world)
        loader.set_epoch(number, start)
        batches = list(loader)
        loader.close()
        return batches

    first = epoch(0)
    for batch in first:
        added = batch.views["gauge/a"].data - batch.views["gauge/b"].data
        assert ((added >= 1000) & (added < 1001)).all()
    drawn = torch.cat([b.views["gauge/a"].data - b.views["gauge/b"].data for b in first])[:, 0]
    assert len(drawn.unique()) == 12
    again = epoch(0, start=2)
    assert torch.equal(again[0].views["gauge/a"].data, first[2].views["gauge/a"].data), "a resume draws the same"
    assert not torch.equal(epoch(1)[0].views["gauge/a"].data % 1, first[0].views["gauge/a"].data % 1)
    shown, _ = parts.plan.maker(0, sheet=True)(parts.splits["train"][3], 0)
    assert shown[0].data.max() < 1000, "a sheet of views shows the per-sample form"


@pytest.mark.parametrize("workers", [0, 2])
def test_workers_do_of_a_list_what_has_no_batched_form(config: dict, workers: int) -> None:
    config["views"] = {"gauge.a": {"use": ["negate", "shuffle"], "batched": True}, "gauge.b": "identity"}
    config["train"]["workers"] = workers
    loader = Parts(cp.Config.of(config)).train_loader()
    for batch in loader:
        added = batch.views["gauge/a"].data + batch.views["gauge/b"].data
        assert ((added >= 1000) & (added < 1001)).all()
    loader.close()


def test_a_view_without_a_batched_form_says_so(config: dict) -> None:
    config["views"] = {"gauge.a": "shuffle", "gauge.b": {"use": "identity", "batched": True}}
    with pytest.raises(ConfigError, match="has no batched form") as error:
        _ = Parts(cp.Config.of(config)).plan
    assert error.value.path == ("views", "gauge.b", "batched")
    config["views"]["gauge.b"] = {"use": "identity", "batched": 3}
    with pytest.raises(ConfigError, match="'batched' is true or false, not 3"):
        _ = Parts(cp.Config.of(config)).plan


def test_a_modalitys_arguments_are_checked(config: dict) -> None:
    config["modalities"]["gauge"]["facto"] = 3
    with pytest.raises(ConfigError, match="no argument 'facto'; did you mean 'factor'") as error:
        _ = Parts(cp.Config.of(config)).modalities
    assert error.value.path == ("modalities", "gauge", "facto")


def test_a_reader_without_cells_can_not_be_fitted_on(config: dict) -> None:
    config["data"] = [Sample(0, {"gauge": np.zeros(2, np.float32)})] * 4
    del config["split"]
    with pytest.raises(ConfigError, match=r"list has no cells\(\) to fit gauge on"):
        _ = Parts(cp.Config.of(config)).splits


def test_the_fitted_modality_goes_into_spawned_workers(config: dict) -> None:
    parts = Parts(cp.Config.of(config))
    loader = make_loader(parts.splits["train"], parts.plan.maker(0), parts.modalities, 4, workers=1)
    here = next(iter(parts.train_loader()))
    assert torch.equal(next(iter(loader)).views["gauge/b"].data, here.views["gauge/b"].data)
    loader.close()


class Dial:
    """A modality that no column has: one number, which views of gauges make."""

    name, dtype = "dial", torch.float32

    def load(self, cells, root):
        raise AssertionError("no column holds a dial")

    def collate(self, items):
        return torch.tensor(items).reshape(-1, 1)

    def preview(self, data):
        return {"text/plain": str(data)}


@cp.view("gauge", makes="dial")
def drawn(gauge, rng, largest: float = 0.0):
    return float(gauge.sum()) * largest


class DialNet(Net):
    modality = "dial"

    def __init__(self) -> None:
        super().__init__(largest=0.0)
        self.net = nn.Linear(1, 4)


@pytest.mark.parametrize("node", ["drawn", {"use": drawn}])
def test_a_rendering_hears_the_facts_of_what_it_reads_and_is_evaluated(config: dict, tmp_path: Path, node) -> None:
    cp.registry().add("view", "drawn", drawn)
    cp.registry().add("modality", "dial", Dial)
    cp.registry().add("encoder", "dial-net", DialNet)
    config["views"] = {"gauge": "identity", "dial": node}
    config["encoders"] = {"gauge": "net", "dial": "dial-net"}
    config["method"] = {"use": "pair-graph", "pairs": [["gauge", "dial"]]}
    run = cp.train(config, out=tmp_path / "run", quiet=True)
    assert run.parts.plan.generators["dial"].params["largest"] == 12
    assert set(run.embed("test")) == {"gauge"}
    config["evaluate"] = {"views": {"dial": node}}
    run = cp.train(config, out=tmp_path / "other", quiet=True)
    found = run.embed("test")
    assert len(found["gauge"]) == len(found["dial"]) == 4
