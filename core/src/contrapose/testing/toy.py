"""An invented modality in which sources, relations and methods are driven: encoders, batches, steps."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from contrapose.methods.method import Method
from contrapose.methods.outputs import Outputs
from contrapose.testing.compare import must
from contrapose.types import Batch, ViewBatch

FEATURES, PLACES, WIDTH = 5, 3, 4
RATE = 0.1
CLASSES = 3


class ToyEncoder(nn.Module):
    """(n, places, features) to ``pooled`` (n, width), and each other tap (n, places, width)."""

    def __init__(self, modality: str = "toy", taps: Iterable[str] = ("dense",), width: int = WIDTH) -> None:
        super().__init__()
        self.modality = modality
        self.dims = dict.fromkeys(["pooled", *taps], width)
        self.linear = nn.Linear(FEATURES, width)

    def forward(self, data: Tensor) -> dict[str, Tensor]:
        """See the class."""
        each = torch.tanh(self.linear(data))
        return {tap: each.mean(1) if tap == "pooled" else each for tap in self.dims}


def toy_batch(
    views: Iterable[str],
    count: int,
    seed: int = 0,
    missing: Mapping[str, Collection[int]] | None = None,
    first: int = 0,
) -> Batch:
    """``count`` samples with these views (``modality/slot``), data and columns drawn under a seed; ids begin at ``first``.

    ``missing`` says by view which samples lack it.
    """
    draw = torch.Generator().manual_seed(seed)
    made = {}
    for name in views:
        data = torch.randn(count, PLACES, FEATURES, generator=draw, dtype=torch.float64)
        gone = (missing or {}).get(name, ())
        index = torch.tensor([i for i in range(count) if i not in gone], dtype=torch.int64)
        made[name] = ViewBatch(data[index] if len(index) else None, name.partition("/")[0], index)
    columns = ("label", "group", "sequence", "tracklet", "camera", "time")
    meta = {name: torch.randint(CLASSES, (count,), generator=draw) for name in columns}
    return Batch(first + torch.randperm(count, generator=draw), made, meta)


def outputs(method: Method, batch: Batch) -> Outputs:
    """The tables of a step, before its loss."""
    return Outputs(method.encode(batch), dict(method.sources.items()), batch, method.clock, method.seed)  # type: ignore[arg-type]


def step(method: Method, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
    """One whole step of training by SGD: the loss, and the gradients of the parameters that it reaches."""
    method.zero_grad(set_to_none=True)
    with must("a step of training must run"):
        value = method(batch).loss
        value.backward()
        for p in method.frozen():
            p.grad = None
        grads = {n: p.grad.clone() for n, p in method.named_parameters() if p.grad is not None}
        torch.optim.SGD([p for p in method.parameters() if p.requires_grad], RATE).step()
        method.advance()
    return value.detach(), grads


def snapshot(module: nn.Module) -> dict[str, Any]:
    """A copy of what a checkpoint would hold."""
    return {name: t.detach().clone() for name, t in module.state_dict().items()}
