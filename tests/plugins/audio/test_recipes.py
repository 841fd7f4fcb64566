"""Every recipe holds together: its method is there, and its views fill the method's slots with what its encoder reads."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tests.plugins.audio.sounds import noise, tone

from contrapose import build
from contrapose.config import Config
from contrapose.config.schema import validate
from contrapose.engine.components import eval_view
from contrapose.engine.recipe import with_recipe
from contrapose.plugins import registry
from contrapose.types import Sample
from contrapose.views import ViewMaker, ViewPlan

RECIPES = [o.name for o in registry().offers("recipe") if o.name.startswith("audio/")]
SHAPES = {
    "cola": (1, 64, 98),
    "byol-a": (1, 64, 96),
    "byol-a-v2": (1, 64, 96),
    "clar": (1, 128, 126),
    "clap": (1, 64, 1001),
    "cpc-audio": (1, 20480),
    "wav2vec2": (1, 250000),
}
"""What a view of each is, as its paper says."""


def test_there_is_one_for_each_method() -> None:
    assert {name.partition("/")[2] for name in RECIPES} == SHAPES.keys()
    methods = {o.name for o in registry().offers("method") if o.name.startswith("audio/")}
    assert methods == {with_recipe(Config.of({"recipe": name})).data["method"] for name in RECIPES}


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipes_views_are_of_its_papers_shape(name: str) -> None:
    given: dict[str, Any] = {"data": "sounds.csv", "recipe": name, "modalities": {"audio": {"columns": "file"}}}
    if name == "audio/clap":
        given |= {
            "modalities": {"audio": {"columns": "file"}, "text": {"columns": "caption", "tokenizer": "./roberta"}}
        }
        given |= {"encoders": {"text": {"path": "./roberta"}}}
    run = validate(with_recipe(Config.of(given)).data)
    rate = run.modalities["audio"].arguments.get("rate", 16000)
    method = build("method", run.method)
    sounds = [Sample(i, {"audio": (tone(2.0, 300 * (i + 1), rate) + noise(2.0, i, rate))[None]}) for i in range(2)]
    heard = run.evaluate.views.get("audio") or eval_view("audio", run.views)
    for views, slots in ((run.views["audio"], method.get("slots")), (heard, None)):
        plan = ViewPlan.from_config(
            {"audio": views}, slots, lambda k, n, p, **c: build(k, n, p, **{"rate": rate, **c}), ["audio"]
        )
        assert slots is None or {view.partition("/")[2] for view in plan.names} == set(slots)
        for planned in plan.planned:
            if hasattr(planned.generator, "fit"):
                planned.generator.fit(sounds)
        made, failed = ViewMaker(plan, 0, sheet=True)(sounds[0], 0)
        assert not failed
        assert {tuple(torch.as_tensor(view.data).shape) for view in made} == {SHAPES[name.partition("/")[2]]}
