"""Each recipe is a whole run by the paper's numbers, of which a config changes what it likes."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.plugins.tabular.test_run import COLUMNS, FURNITURE

import contrapose as cp
from contrapose.engine.recipe import with_recipe
from contrapose.plugins import registry

QUICK = {"device": "cpu", "threads": 1}
RECIPES = [offer.spec.name for offer in registry().offers("recipe") if offer.prefix == "tabular"]


def config(name: str, **more: Any) -> dict[str, Any]:
    return {"recipe": f"tabular/{name}", "data": str(FURNITURE), "modalities": {"tabular": COLUMNS}, **more}


def test_there_are_four() -> None:
    assert sorted(RECIPES) == ["saint", "scarf", "subtab", "vime"]


def test_scarfs_protocol() -> None:
    run = with_recipe(cp.Config.of(config("scarf"))).run
    assert run.views == {
        "tabular.anchor": "tabular/eval",
        "tabular.corrupted": {"use": "tabular/scarf", "rate": 0.6, "batched": True},
    }
    assert run.encoders == {"tabular": {"use": "tabular/mlp", "layers": 4, "width": 256}}
    t = run.train
    assert (t.epochs, t.batch_size, t.lr, t.optimizer, t.weight_decay, t.schedule) == (
        1000,
        128,
        1e-3,
        "adam",
        0,
        "constant",
    )
    assert (t.early_stopping.split, t.early_stopping.patience, t.early_stopping.passes) == ("val", 3, 10)
    assert (run.split.test, run.split.val) == (0.2, 0.1)


def test_a_split_by_column_takes_the_place_of_the_recipes() -> None:
    changed = with_recipe(cp.Config.of(config("scarf", split={"column": "split"}))).run
    assert changed.split.plain() == {"column": "split"}
    assert with_recipe(cp.Config.of(config("scarf", split={"val": 0.2}))).run.split.plain()["val"] == 0.2


@pytest.mark.slow
def test_scarf_stops_by_itself(tmp_path: Path) -> None:
    """Once ten corruptions of each row of the validation split were no better for three epochs."""
    small = {"tabular": {"layers": 2, "width": 32}}
    run = cp.train(
        config("scarf", encoders=small, train={**QUICK, "lr": 0.05, "epochs": 40}), out=tmp_path / "run", quiet=True
    )
    with open(run.dir / "validation.csv") as file:
        losses = [float(row["loss"]) for row in csv.DictReader(file)]
    best = int(np.argmin(losses))
    assert len(losses) == min(best + 4, 40)


@pytest.mark.parametrize("name", ["vime", "saint", pytest.param("subtab", marks=pytest.mark.slow)])
def test_the_others_train(name: str, tmp_path: Path) -> None:
    small = {"saint": {"layers": 1}}.get(name, {"width": 32})
    changes = {
        "split": {"column": "split"},
        "encoders": {"tabular": small},
        "train": {**QUICK, "epochs": 2, "batch_size": 64},
    }
    run = cp.train(config(name, **changes), out=tmp_path / "run", quiet=True)
    with open(run.dir / "metrics.csv") as file:
        losses = [float(row["loss"]) for row in csv.DictReader(file)]
    assert np.isfinite(losses).all()
    assert np.mean(losses[-5:]) < np.mean(losses[:5])
    again = cp.load(run.dir)
    np.testing.assert_array_equal(again.embed("test")["tabular"].z, run.embed("test")["tabular"].z)
