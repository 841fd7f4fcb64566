"""Whether several processes train as one does."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from contrapose.branches.syncnorm import SyncNorm
from contrapose.engine.gradcache import backward_in_chunks
from contrapose.engine.shard import by_kind, gathered, shard, whole_parameters
from contrapose.errors import ConfigError
from contrapose.methods.gather import average, total, world_size
from contrapose.methods.method import Method
from contrapose.testing.ranks import ranks
from contrapose.types import Batch

RATE = 0.1
HINT = (
    "a loss or a relation takes the rows of all processes by out.rows(ref, 'global'), which gathers with gradient, and means "
    "over anchors by out.mean, which counts those of all"
)


@dataclass(frozen=True)
class _Step:
    loss: Tensor
    grads: dict[str, Tensor]


def assert_ddp_equivalent(
    method: Method | Callable[[], Method],
    batch: Batch | Sequence[Batch],
    world_size: int = 2,
    *,
    split: Sequence[int] | None = None,
    chunk_size: int | None = None,
    split_weights: bool = False,
    tolerance: float = 1e-10,
) -> None:
    """Fail unless several processes (gloo) give the parameters the gradients of one process on the whole batch.

    Works on a copy of the method, on the CPU in float64, its encoders and heads in eval mode: dropout and BatchNorm's batch
    statistics differ between processes by their nature. BatchNorm that is synchronised (``branches.syncnorm.synchronise``) is in
    train mode. The copy takes an SGD step after each batch and commits it, so that with
    several batches what sources and twins have kept of the first tells in the second; it must be the same on all ranks then. ::

        def test_two_processes_train_as_one():
            parts = Parts(Config.load("my.yaml"))
            batches = [batch for batch, _ in zip(parts.train_loader(), range(2))]
            assert_ddp_equivalent(parts.make_method(), batches)

    The processes are started by ``spawn`` and kept for the next call: in a script, call it below ``if __name__ == "__main__":``.

    Args:
        method: the method, in the state from which it steps; or a function of a module that makes it, if it can't be pickled.
        batch: the whole batch, at best with samples that lack a modality; or several, for a step each.
        world_size: how many processes.
        split: how many samples each process has, in order; by default nearly equal numbers that are not all equal.
        chunk_size: the processes run in chunks (GradCache), the one does not.
        split_weights: the processes split encoders, heads and twins among them (``train.shard``), each repeated part by itself.
        tolerance: what a gradient may differ by, for entries up to 1; in proportion where the largest entry is above.

    Raises:
        AssertionError: with the parameter that differs most in the first step that differs, or what a rank failed with.
        ConfigError: ``split`` is not of this batch.
    """
    batches = [_double(b) for b in ([batch] if isinstance(batch, Batch) else batch)]
    start = copy.deepcopy(method) if isinstance(method, Method) else method()
    start.to("cpu", torch.float64).train()
    synced = [m for m in start.towers.modules() if isinstance(m, SyncNorm) and m.training]
    start.towers.eval()
    for norm in synced:
        norm.train()
    if start.clock.steps_per_epoch is None:
        start.clock.start(steps_per_epoch=10, epochs=1)
    sizes = [_sizes(len(b), world_size, split) for b in batches]
    parts = [[b.take(_places(s, rank)) for b, s in zip(batches, sizes, strict=True)] for rank in range(world_size)]
    found = ranks(world_size).do(_steps, [(start, mine, chunk_size, split_weights) for mine in parts])
    ours, _ = _steps(start, batches, None, False)
    for n, (one, many) in enumerate(zip(ours, found[0][0], strict=True)):
        where = f"in step {n + 1}, {world_size} processes with {', '.join(map(str, sizes[n]))} samples"
        _compare({"the loss": one.loss}, {"the loss": many.loss}, where, tolerance)
        _compare(one.grads, many.grads, where, tolerance)
    if not any(g.any() for step in ours for g in step.grads.values()):
        raise AssertionError(
            "no parameter has a gradient in any step: nothing was compared; a queue, say, needs a second batch"
        )
    for rank, (_, state) in enumerate(found):
        _compare(found[0][1], state, f"after {len(ours)} steps, rank {rank} against rank 0", tolerance)


def _steps(
    method: Method, batches: Sequence[Batch], chunk_size: int | None, split: bool
) -> tuple[list[_Step], dict[str, Tensor]]:
    """What each step of this rank gave, averaged over ranks, and the method's state after them."""
    made = []
    model: torch.nn.Module = method
    if split:
        shard(method, "cpu", block=1)
    elif chunk_size is None and world_size() > 1 and not any(isinstance(m, SyncNorm) for m in method.modules()):
        # As the engine does, but for a source on trial whose parameters no term uses.
        model = DistributedDataParallel(method, broadcast_buffers=False, find_unused_parameters=True)
    for batch in batches:
        method.zero_grad(set_to_none=True)
        if chunk_size is None:
            out = model(batch)
            out.loss.backward()
        else:
            out = backward_in_chunks(method, batch, chunk_size)
        trained = {n: p for n, p in method.named_parameters() if p.requires_grad}
        if model is method:
            average(whole_parameters(method))
        grads = gathered(
            {n: torch.zeros_like(p) if p.grad is None else p.grad.clone() for n, p in trained.items()}, True
        )
        made.append(_Step(total(out.loss) / world_size(), grads))
        for p in method.frozen():
            p.grad = None
        torch.optim.SGD([{"params": kind} for kind in by_kind(trained.values())], RATE).step()
        method.advance()
    return made, gathered(method.state_dict(), True)


def _compare(wanted: dict[str, Tensor], found: dict[str, Tensor], where: str, tolerance: float) -> None:
    """Fail with the tensor that differs most."""
    worst = max(wanted, key=lambda name: _difference(wanted[name], found[name]))
    off = _difference(wanted[worst], found[worst])
    if not off <= tolerance:
        raise AssertionError(f"{worst} differs by {off:.1e} ({where}): {HINT}")


def _difference(a: Tensor, b: Tensor) -> float:
    """The largest difference, as a share of the largest entry where that is above 1; infinite where they can't be compared."""
    if a.shape != b.shape:
        return float("inf")
    a, b = a.double(), b.double()
    off = torch.where((a == b) | (a.isnan() & b.isnan()), 0.0, (a - b).abs())
    largest = a[a.isfinite()].abs().max().clamp(min=1.0) if a.isfinite().any() else 1.0
    return float((off / largest).nan_to_num(float("inf")).max()) if off.numel() else 0.0


def _sizes(count: int, world_size: int, split: Sequence[int] | None) -> list[int]:
    if split is not None:
        if len(split) != world_size or sum(split) != count or min(split) < 0:
            raise ConfigError(f"split={tuple(split)} doesn't share {count} samples among {world_size} processes")
        return [*split]
    sizes = [count * (rank + 1) // world_size - count * rank // world_size for rank in range(world_size)]
    if len({*sizes}) == 1 and world_size > 1 and sizes[0] > 1:
        sizes[0], sizes[-1] = sizes[0] - 1, sizes[-1] + 1
    return sizes


def _places(sizes: Sequence[int], rank: int) -> Tensor:
    return torch.arange(sum(sizes[:rank]), sum(sizes[: rank + 1]))


def _double(batch: Batch) -> Batch:
    return batch.to("cpu").map(lambda t: t.double() if t.is_floating_point() else t)
