"""Two processes give the gradients of one on the whole batch: every method, uneven ranks, missing modalities."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from contrapose.methods.gather import world_size
from tests.algebra import CASES, Case, batch, gradients

COUNT, FIRST = 9, 4  # rank 0 has 4 of the 9 samples, rank 1 the others
MISSING = {
    "even": {},
    "holes": {"video": (1, 5), "flat": (0, 7)},
    "one rank has none": {"video": (0, 1, 2, 3), "flat": (4, 5, 6, 7, 8)},
}
CROSSED = ("clip", "siglip", "gram", "crosspoint")
RUNS = [(name, "even") for name in CASES] + [(name, how) for name in CROSSED for how in ("holes", "one rank has none")]

Found = dict[tuple[str, str], tuple[dict[str, torch.Tensor], torch.Tensor]]


def run(case: Case, how: str, part: slice) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """Gradients of the second step of a run on this rank's part of each batch, averaged over ranks as DDP does, and the loss."""
    method = case.method()
    case.before(method)
    for seed in (0, 1):
        here = torch.arange(COUNT)[part]
        out = method.loss(batch(case.views, COUNT, seed, MISSING[how]).take(here))
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
    found = {run_: run(CASES[run_[0]], run_[1], part) for run_ in RUNS}
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


@pytest.mark.parametrize(("name", "how"), RUNS, ids=lambda x: x.replace(" ", "-"))
def test_two_processes_equal_one(name: str, how: str, on_two: Found) -> None:
    theirs, their_loss = on_two[name, how]
    ours, loss = run(CASES[name], how, slice(0, COUNT))
    torch.testing.assert_close(their_loss, loss, rtol=0, atol=1e-10)
    for parameter, grad in ours.items():
        torch.testing.assert_close(theirs[parameter], grad, rtol=0, atol=1e-10, msg=lambda m, p=parameter: f"{p}: {m}")
    assert any(g.abs().max() > 1e-6 for g in ours.values())
