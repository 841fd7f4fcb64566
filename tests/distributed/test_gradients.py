"""Two processes give the gradients of one on the whole batch: every method, uneven ranks, missing modalities, and in chunks.

A third of it runs each day, another each day in turn; what is left is slow.
"""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
import torch

from contrapose import Batch, registry
from contrapose.losses.engine import Engine
from contrapose.testing import assert_ddp_equivalent
from tests.algebra import CASES, CROPS, HEAD, Case, Step, batch, preset
from tests.conftest import DAYS

COUNT = 9
MISSING = {
    "even": {},
    "holes": {"video": (1, 5), "flat": (0, 7), "flow": (2, 8)},
    "one rank has none": {"video": (0, 1, 2, 3), "flat": (4, 5, 6, 7, 8), "flow": (0, 1, 2, 3)},
}
CROSSED = (
    "pair-graph",
    "clip",
    "siglip",
    "gram",
    "crosspoint",
    "cmc",
    "hub",
    "m5product",
    "symile",
    "symile-all",
    "near in time",
    "cmc-bank",
    "coclr",
)


def _swav_first() -> dict[str, Any]:
    """A relation that gathers without gradient, before a term that gathers the same table with it."""
    swav = preset(
        "swav", branches={"online": {"projector": HEAD}}, sources={"prototypes": {"count": 9, "frozen": None}}
    )
    return swav | {"terms": {**swav["terms"], "then": {"query": "online/global_*", "keys": ["online/global_*"]}}}


def _near() -> dict[str, Any]:
    """Positives by a column that only views with rows have."""
    data = registry().load("method", "pair-graph")(pairs=[["text", "video"]], out=4)  # type: ignore[operator]
    linear = {n: b | {"projector": {"use": "linear", "out": 4}} for n, b in data["branches"].items()}
    term = {"query": "text", "keys": ["video"], "positives": "near(time, 30)", "denominator": "all"}
    return {"branches": linear, "terms": {"t": term}}


def _unused(step: Step) -> torch.Tensor:
    raise AssertionError("these are compared with one process alone")


def _pairs() -> dict[str, Any]:
    """A pair of each kind."""
    pairs = [{"pair": ["text", "video"], "same": "label"}, {"pair": ["video", "sound"], "loss": "sigmoid"}]
    return registry().load("method", "pair-graph")(  # type: ignore[no-any-return,operator]
        graph="full", modalities=["text", "video", "sound"], intra=["text"], pairs=pairs, tau={"learn": 0.1}, out=4
    )


EXTRA = {
    "pair-graph": Case(_pairs, ("text/0", "text/1", "video/0", "sound/0"), _unused),
    "scarf": Case(
        lambda: preset("scarf", branches={"online": {"projector": HEAD}}), ("pulse/anchor", "pulse/corrupted"), _unused
    ),
    "swav, then nce": Case(_swav_first, CROPS, _unused),
    "near in time": Case(_near, ("text/0", "video/0"), _unused),
}
ALL = {**CASES, **EXTRA}
DENSE, TILES = Engine("dense"), Engine("tiled", 2)
RUNS = [(name, "even", None, engine) for name in ALL for engine in (DENSE, TILES)]
RUNS += [
    (name, how, None, engine) for name in CROSSED for how in ("holes", "one rank has none") for engine in (DENSE, TILES)
]
RUNS += [(name, "even", 2, TILES) for name in ALL] + [(name, "one rank has none", 2, TILES) for name in CROSSED]


def in_turn(runs: list[tuple[str, str, int | None, Engine]]) -> list[Any]:
    """Those of today as they are, the others marked slow."""
    today = date.today().toordinal() % DAYS
    return [pytest.param(*run, marks=() if n % DAYS == today else pytest.mark.slow) for n, run in enumerate(runs)]


def batches(case: Case, how: str) -> list[Batch]:
    """Those of two steps."""
    made = []
    for seed in (0, 1):
        whole = batch(case.views, COUNT, seed, MISSING[how])
        for view in whole.views.values():
            if len(view) and "time" not in whole.meta:
                view.meta["time"] = whole.sample[view.index].double() * 20
        made.append(whole)
    return made


def _said(x: object) -> str:
    return x.name if isinstance(x, Engine) else "whole" if x is None else str(x).replace(" ", "-")


@pytest.mark.parametrize(("name", "how", "chunk", "engine"), in_turn(RUNS), ids=_said)
def test_two_processes_equal_one(name: str, how: str, chunk: int | None, engine: Engine) -> None:
    method = ALL[name].method()
    method.engine = engine
    ALL[name].before(method)
    assert_ddp_equivalent(method, batches(ALL[name], how), chunk_size=chunk)


@pytest.mark.parametrize("name", ["densecl", pytest.param("fnc", marks=pytest.mark.slow)])
def test_a_full_queue_drops_the_same_rows_on_any_number_of_ranks(name: str) -> None:
    """Several rows a sample, of which a queue has room for some: not those of the first rank."""
    method = ALL[name].method()
    ALL[name].before(method)
    assert_ddp_equivalent(method, [batch(ALL[name].views, COUNT, seed) for seed in range(3)])


@pytest.mark.slow
@pytest.mark.parametrize("split", [(3, 0, 6), (0, 0, 9), (4, 3, 2)], ids=str)
@pytest.mark.parametrize(("name", "chunk"), [("moco-v2", None), ("clip", 2), ("swav", None), ("supcon", 2)])
def test_three_processes_equal_one(name: str, chunk: int | None, split: tuple[int, ...]) -> None:
    method = ALL[name].method()
    ALL[name].before(method)
    assert_ddp_equivalent(method, batches(ALL[name], "even"), world_size=3, split=split, chunk_size=chunk)


IN_PLUGINS = {
    "cola",
    *("depthcontrast", "pointcontrast", "strl", "ulip"),
    *("saint", "subtab"),
    "fame",
    *("consert", "declutr", "e5", "mnrl", "simcse", "simcse-supervised"),
    *("cvrl", "dpc", "memdpc", "pace", "rho-byol", "rho-moco", "two-stream", "video-audio", "video-clip"),
    *("byol-a", "clap", "clar", "cpc-audio", "wav2vec2"),
}


def test_every_preset_is_among_them() -> None:
    """By its name, or as the first words of a case's; those of modalities are in their plugins' tests (``IN_PLUGINS``)."""
    presets = {offer.name.rpartition("/")[2] for offer in registry().offers("method")}
    cases = {word for name in ALL for word in (name, name.rpartition("-")[0])}
    assert presets - cases == IN_PLUGINS
