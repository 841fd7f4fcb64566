"""The papers' runs: each is what its paper says, and trains on small films."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tests.plugins.video.films import film

import contrapose
from contrapose import Config, build, registry
from contrapose.engine.build import Parts
from contrapose.engine.optim import make_optimizer
from contrapose.engine.recipe import with_recipe
from contrapose.engine.schedule import lr_factor
from contrapose.evaluate import evaluate
from contrapose.views import ViewPlan

PAPERS: dict[str, tuple[int, int, str, float, float, float]] = {
    # batch, epochs, optimiser, rate, weight decay, what is left of the rate in the last step
    "cvrl": (1024, 200, "sgd", 0.32, 1e-6, 0.0),
    "rho-moco": (64, 200, "sgd", 0.1, 1e-4, 0.0),
    "rho-byol": (64, 200, "lars", 0.6, 1e-6, 0.0),
    "pace": (30, 180, "sgd", 0.001, 0.005, 0.01),
    "dpc": (128, 300, "adam", 0.001, 1e-5, 1.0),
    "memdpc": (16, 500, "adam", 0.001, 1e-5, 0.01),
    "coclr": (64, 100, "adam", 0.001, 1e-5, 0.1),
}
SMALL: dict[str, dict[str, Any]] = {
    "cvrl": {"hidden": 8},
    "rho-moco": {"size": 16, "branches": {"online": {"projector": {"hidden": 8}}}},
    "rho-byol": {"hidden": 8},
    "memdpc": {"memory": 4},
    "coclr": {"size": 8},
}


def config_of(name: str, **own: Any) -> Config:
    return with_recipe(Config.of({"data": "x", "modalities": {"video": "file"}, "recipe": f"video/{name}", **own}))


def test_these_are_all() -> None:
    assert sorted(o.spec.name for o in registry().offers("recipe") if o.prefix == "video") == sorted(PAPERS)


@pytest.mark.parametrize("name", PAPERS)
def test_a_run_is_its_papers(name: str) -> None:
    train = config_of(name).run.train
    batch, epochs, optimizer, rate, decay, last = PAPERS[name]
    assert (train.batch_size, train.epochs, train.optimizer) == (batch, epochs, optimizer)
    assert (train.lr, train.weight_decay) == (rate, decay)
    left = lr_factor(train.schedule, 10 * epochs - 1, steps_per_epoch=10, epochs=epochs, warmup=train.warmup)
    assert left == pytest.approx(last, abs=2e-5)
    assert make_optimizer(train.optimizer, [{"params": [torch.nn.Parameter(torch.ones(2, 2))]}], train.lr)


@pytest.mark.parametrize("name", PAPERS)
def test_a_run_fills_its_methods_slots(name: str) -> None:
    config = config_of(name)
    slots = Parts(config).recipe["slots"]
    plan = ViewPlan.from_config(config.run.views, slots, build, ["video"])
    names = [f"{s}_{i}" for s, n in slots.items() for i in range(n)] if isinstance(slots, dict) else slots
    assert sorted(plan.names) == sorted(f"video/{slot}" for slot in names)


@pytest.mark.parametrize("name", PAPERS)
def test_a_run_is_evaluated_on_clips_like_its_own(name: str) -> None:
    """As many frames, as far apart, of that size; its class is looked for among the training split's."""
    config = config_of(name)
    views = config.run.views["video"]
    own, (sampled, done) = views, (views, None) if isinstance(views, dict) else (views[0], views[1])
    seen = config.run.evaluate.views["video"]
    assert seen["use"] == "video/eval"
    assert (seen["frames"], seen["stride"]) == (sampled["frames"], sampled.get("stride", 1))
    told = str(own) if done is None else str(done)
    assert f"'size': {seen['size']}" in told
    assert "label-retrieval" in (config.run.evaluate.evaluators or [])


def smaller(node: Any) -> Any:
    """The same views of 8 frames of 24 pixels."""
    if isinstance(node, list):
        return [smaller(n) for n in node]
    if not isinstance(node, dict):
        return node
    small = {"size": 24, "side": 28, "frames": 8, "stride": 1, "average": 2}
    return {k: small.get(k, smaller(v)) for k, v in node.items()}


def encoder(node: Any) -> Any:
    return {"use": "video/small", "width": 2} if "encoder" not in node else {**node, "encoder": encoder({})}


@pytest.mark.parametrize("name", ["coclr", *(pytest.param(n, marks=pytest.mark.slow) for n in PAPERS if n != "coclr")])
def test_a_run_trains(name: str, tmp_path: Path) -> None:
    """Three steps, with small encoders, heads and queues, on films; then it is evaluated by the recipe's evaluators."""
    if name == "coclr":
        pytest.importorskip("cv2", exc_type=ImportError)
    lines = ["file,label,part"]
    for i in range(12):
        (tmp_path / f"{i}.mp4").write_bytes(film(20 + i))
        lines.append(f"{i}.mp4,{i % 2},{'train' if i < 8 else 'test'}")
    (tmp_path / "films.csv").write_text("\n".join(lines))
    recipe = registry().load("recipe", f"video/{name}")
    assert isinstance(recipe, dict)
    use = recipe["method"] if isinstance(recipe["method"], str) else recipe["method"]["use"]
    run = contrapose.train(
        {
            "data": str(tmp_path / "films.csv"),
            "modalities": {"video": "file"},
            "meta": {"label": "label"},
            "split": {"column": "part"},
            "recipe": f"video/{name}",
            "views": smaller(recipe["views"]),
            "encoders": {key: encoder(node) for key, node in recipe["encoders"].items()},
            "method": {"use": use, **SMALL.get(name, {})},
            "train": {"steps": 3, "batch_size": 8, "device": "cpu", "loggers": []},
            "evaluate": {"views": {"video": {"frames": 8, "size": 24, "average": 2}}},
        },
        out=tmp_path / "run",
        quiet=True,
    )
    assert len((run.dir / "metrics.csv").read_text().splitlines()) == 4
    found = evaluate(run, draws=20)
    assert found.row("class R@1", "video").chance == pytest.approx(0.5)
    assert {row.metric for row in found.rows} >= {"kNN", "linear probe", "class R@5", "effective rank"}
