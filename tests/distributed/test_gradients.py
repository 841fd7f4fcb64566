"""Two processes give the gradients of one on the whole batch: every method, uneven ranks, missing modalities."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from contrapose import registry
from contrapose.losses.engine import DENSE, Engine
from contrapose.methods.gather import world_size
from tests.algebra import CASES, CROPS, HEAD, Case, Step, batch, gradients, preset

COUNT, FIRST = 9, 4  # rank 0 has 4 of the 9 samples, rank 1 the others
MISSING = {
    "even": {},
    "holes": {"video": (1, 5), "flat": (0, 7), "flow": (2, 8)},
    "one rank has none": {"video": (0, 1, 2, 3), "flat": (4, 5, 6, 7, 8), "flow": (0, 1, 2, 3)},
}
CROSSED = (
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


EXTRA = {
    "swav, then nce": Case(_swav_first, CROPS, _unused),
    "near in time": Case(_near, ("text/0", "video/0"), _unused),
}
ALL = {**CASES, **EXTRA}
RUNS = [(name, "even") for name in ALL] + [(name, how) for name in CROSSED for how in ("holes", "one rank has none")]

ENGINES = {"dense": DENSE, "tiled": Engine("tiled", 2)}

Found = dict[tuple[str, str, str], tuple[dict[str, torch.Tensor], torch.Tensor]]


def run(case: Case, how: str, part: slice, engine: Engine = DENSE) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """Gradients of the second step of a run on this rank's part of each batch, averaged over ranks as DDP does, and the loss."""
    method = case.method()
    method.engine = engine
    case.before(method)
    for seed in (0, 1):
        here = torch.arange(COUNT)[part]
        mine = batch(case.views, COUNT, seed, MISSING[how]).take(here)
        for view in mine.views.values():
            if len(view) and "time" not in mine.meta:
                view.meta["time"] = mine.sample[view.index].double() * 20
        out = method.loss(mine)
        grads = gradients(method, out.loss)
        loss = out.loss.detach().clone()
        if world_size() > 1:
            for g in [*grads.values(), loss]:
                dist.all_reduce(g)
                g /= world_size()
        with torch.no_grad():
            for name, p in method.named_parameters():
                if name in grads:
                    p -= 0.1 * grads[name]
        method.advance()
    return grads, loss


def work(rank: int, port: int, where: str) -> None:
    """One of two ranks."""
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    torch.set_num_threads(1)
    dist.init_process_group("gloo", rank=rank, world_size=2)
    part = slice(0, FIRST) if rank == 0 else slice(FIRST, COUNT)
    found = {(name, how, e): run(ALL[name], how, part, ENGINES[e]) for name, how in RUNS for e in ENGINES}
    if rank == 0:
        torch.save(found, where)
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def on_two(tmp_path_factory: pytest.TempPathFactory) -> Found:
    where: Path = tmp_path_factory.mktemp("ddp") / "found.pt"
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    mp.spawn(work, (port, str(where)), nprocs=2)
    found: Found = torch.load(where)
    return found


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("name", "how"), RUNS, ids=lambda x: x.replace(" ", "-"))
def test_two_processes_equal_one(name: str, how: str, engine: str, on_two: Found) -> None:
    theirs, their_loss = on_two[name, how, engine]
    ours, loss = run(ALL[name], how, slice(0, COUNT))
    torch.testing.assert_close(their_loss, loss, rtol=0, atol=1e-10)
    for parameter, grad in ours.items():
        torch.testing.assert_close(theirs[parameter], grad, rtol=0, atol=1e-10, msg=lambda m, p=parameter: f"{p}: {m}")
    assert any(g.abs().max() > 1e-6 for g in ours.values())
