"""Every recipe holds together: its method is there, and its views fill the method's slots."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from contrapose import build
from contrapose.config import Config
from contrapose.config.schema import validate
from contrapose.engine.build import Parts
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


def test_no_batch_of_mnrl_holds_a_positive_twice(tmp_path: Path) -> None:
    """With columns of one's own, and a network that needs no folder."""
    rows = [{"question": f"what is {n}", "answer": f"it is {n % 10}"} for n in range(40)]
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    config = Config.of(
        {
            "data": str(tmp_path / "pairs.jsonl"),
            "recipe": "text/mnrl",
            "meta": {"positive": "answer"},
            "modalities": {"text": {"columns": ["question", "answer"], "max_length": 16}},
            "views": {"text": {"use": "text/columns", "slots": {"anchor": "question", "positive": "answer"}}},
            "encoders": {"text": "text/bag"},
            "train": {"batch_size": 8, "device": "cpu"},
        }
    )
    batches = [batch.meta["positive"].tolist() for batch in Parts(with_recipe(config)).train_loader()]
    assert len(batches) == 5
    assert all(len({*positives}) == 8 for positives in batches)
