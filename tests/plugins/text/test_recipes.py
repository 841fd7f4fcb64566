"""Every recipe holds together: its method is there, and its views fill the method's slots."""

from __future__ import annotations

import pytest

from contrapose import build
from contrapose.config import Config
from contrapose.config.schema import validate
from contrapose.engine.recipe import with_recipe
from contrapose.plugins import registry
from contrapose.views import ViewPlan

RECIPES = [o.name for o in registry().offers("recipe") if o.name.startswith("text/")]
TAUS = {"simcse": 0.05, "simcse-supervised": 0.05, "consert": 0.1, "declutr": 0.05, "mnrl": 0.05, "e5": 0.01}


def test_there_is_one_for_each_method() -> None:
    assert {name.partition("/")[2] for name in RECIPES} == TAUS.keys()


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_fills_its_methods_slots(name: str) -> None:
    given = {"data": "x.parquet", "recipe": name, "modalities": {"text": {"tokenizer": "./bert"}}}
    run = validate(with_recipe(Config.of({**given, "encoders": {"text": {"path": "./bert"}}})).data)
    assert run.encoders["text"]["path"] == "./bert"
    assert run.modalities["text"].arguments.keys() == {"tokenizer", "max_length"}
    method = registry().load("method", run.method)
    plan = ViewPlan.from_config(run.views, method["slots"], lambda k, n, p, **c: build(k, n, p, **c), ["text"])
    assert {view.partition("/")[2] for view in plan.names} == set(method["slots"])
    (term,) = [term for key, term in method["terms"].items() if key != "mlm"]
    assert term["tau"] == TAUS[name.partition("/")[2]]


def test_no_batch_of_mnrl_holds_a_positive_twice() -> None:
    run = validate(with_recipe(Config.of({"data": "x.parquet", "recipe": "text/mnrl"})).data)
    assert run.meta[run.train.distinct] == "positive"
    assert run.views["text"]["slots"]["positive"] == "positive"
