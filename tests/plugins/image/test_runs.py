"""The papers' runs: each is what its paper says, and trains."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

import contrapose
from contrapose import Config, build, registry
from contrapose.engine.build import Parts
from contrapose.engine.optim import make_optimizer
from contrapose.engine.recipe import with_recipe
from contrapose.engine.schedule import lr_factor
from contrapose.errors import PluginError
from contrapose.views import ViewPlan

PAPERS: dict[
    str, tuple[int, float, str, float, float]
] = {  # batch, epochs, optimiser, rate at a batch of 256, weight decay
    "simclr": (4096, 100, "lars", 0.3, 1e-6),
    "simclr-cifar": (1024, 1000, "lars", 0.25, 1e-6),
    "moco-v1": (256, 200, "sgd", 0.03, 1e-4),
    "moco-v2": (256, 200, "sgd", 0.03, 1e-4),
    "moco-v3": (4096, 100, "lars", 0.6, 1e-6),
    "byol": (4096, 1000, "lars", 0.2, 1.5e-6),
    "barlow-twins": (2048, 1000, "lars", 0.2, 1.5e-6),
    "vicreg": (2048, 1000, "lars", 0.2, 1e-6),
    "simsiam": (512, 100, "sgd", 0.05, 1e-4),
    "swav": (256, 400, "lars", 0.6, 1e-6),
    "dino": (1024, 100, "adamw", 0.0005, 0.04),
    "densecl": (256, 200, "sgd", 0.03, 1e-4),
    "pirl": (1024, 800, "sgd", 0.03, 1e-4),
    "cmc": (256, 200, "sgd", 0.03, 1e-4),
    "contrastive-crop": (256, 200, "sgd", 0.03, 1e-4),
}
LAST = {  # what is left of the rate in the last step
    "barlow-twins": 0.001, "vicreg": 0.00125, "swav": 0.001, "dino": 0.0005, "pirl": 0.001,
    "moco-v1": 0.01, "cmc": 0.01,
}  # fmt: skip
SMALL_HEADS: dict[str, Any] = {
    "moco-v1": {"sources": {"queue": {"size": 16}}},
    "moco-v2": {"sources": {"queue": {"size": 16}}},
    "contrastive-crop": {"sources": {"queue": {"size": 16}}},
    "densecl": {"sources": {"queue": {"size": 16}, "dense_queue": {"size": 16}}},
    "barlow-twins": {"branches": {"online": {"projector": {"hidden": 16, "out": 16}}}},
    "vicreg": {"branches": {"online": {"projector": {"hidden": 16, "out": 16}}}},
    "swav": {"sources": {"prototypes": {"count": 8, "frozen": {"steps": 1}}, "past": {"size": 16}}},
    "dino": {"sources": {"prototypes": {"count": 8}}},
    "pirl": {"negatives": 4},
    "cmc": {"negatives": 4},
}


def test_these_are_all() -> None:
    assert sorted(o.spec.name for o in registry().offers("recipe") if o.prefix == "image") == sorted(PAPERS)


def config_of(name: str, **own: Any) -> Config:
    return with_recipe(Config.of({"data": "x", "modalities": {"image": "picture"}, "recipe": f"image/{name}", **own}))


@pytest.mark.parametrize("name", PAPERS)
def test_a_run_is_its_papers(name: str) -> None:
    train = config_of(name).run.train
    batch, epochs, optimizer, rate, decay = PAPERS[name]
    use = train.optimizer["use"] if isinstance(train.optimizer, dict) else train.optimizer
    first = train.weight_decay["cosine"][0] if isinstance(train.weight_decay, dict) else train.weight_decay
    assert (train.batch_size, train.epochs, use, first) == (batch, epochs, optimizer, decay)
    assert train.lr == pytest.approx(rate * batch / 256)
    steps = 10 * epochs
    left = lr_factor(train.schedule, steps - 1, steps_per_epoch=10, epochs=epochs, warmup=train.warmup)
    assert left == pytest.approx(LAST.get(name, 0.0), abs=2e-5)
    assert make_optimizer(train.optimizer, [{"params": [torch.nn.Parameter(torch.ones(2, 2))]}], train.lr)


@pytest.mark.parametrize("name", PAPERS)
def test_a_run_fills_its_methods_slots(name: str) -> None:
    config = config_of(name)
    slots = Parts(config).recipe["slots"]
    plan = ViewPlan.from_config(config.run.views, slots, build, ["image"])
    names = [f"{s}_{i}" for s, n in slots.items() for i in range(n)] if isinstance(slots, dict) else slots
    assert sorted(plan.names) == sorted(f"image/{slot}" for slot in names)


@pytest.mark.parametrize(
    "name", ["moco-v3", *(pytest.param(n, marks=pytest.mark.slow) for n in PAPERS if n != "moco-v3")]
)
def test_a_run_trains(name: str, tmp_path: Path, photo: NDArray[np.uint8]) -> None:
    """Two steps, with a small encoder, small crops and a small queue."""
    for i in range(8):
        Image.fromarray(np.roll(photo, i * 5, axis=1)).save(tmp_path / f"{i}.png")
    lines = [json.dumps({"picture": f"{i}.png"}) for i in range(8)]
    (tmp_path / "pictures.jsonl").write_text("\n".join(lines))
    recipe = registry().load("recipe", f"image/{name}")
    assert isinstance(recipe, dict)
    method = recipe["method"] if isinstance(recipe["method"], dict) else {"use": recipe["method"]}
    views = {key: _smaller(node) for key, node in recipe["views"].items()}
    run = contrapose.train(
        {
            "data": str(tmp_path / "pictures.jsonl"),
            "modalities": {"image": "picture"},
            "recipe": f"image/{name}",
            "views": views,
            "encoders": {encoder: {"use": "image/small", "width": 4} for encoder in recipe["encoders"]},
            "method": {"use": method["use"], **SMALL_HEADS.get(name, {})},
            "train": {"steps": 2, "batch_size": 8, "device": "cpu", "loggers": []},
        },
        out=tmp_path / "run",
        quiet=True,
    )
    assert len((run.dir / "metrics.csv").read_text().splitlines()) == 3


def _smaller(node: Any) -> Any:
    if isinstance(node, list):
        return [_smaller(node[0]), *node[1:]]
    node = dict(node) if isinstance(node, dict) else {"use": node}
    return node | ({"size": 48, "tile": 14} if node["use"] == "image/jigsaw" else {"size": 32})


def test_a_view_of_a_runs_name_says_that_there_is_a_run() -> None:
    for name in ("barlow-twins", "vicreg"):
        with pytest.raises(PluginError, match="did you mean the recipe of that name"):
            registry().find("view", f"image/{name}")
