"""Pretraining of a small table in memory: the framework's views, encoder and method in a loop of our own.

It does what ``contrapose.train`` does by the same config: batches in a new order each epoch, validation by views that are drawn
once, the weights of the least loss. That reads rows one by one, so that data of any size may train; here a table is two tensors.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from contrapose.types import Batch, ViewBatch

if TYPE_CHECKING:
    from contrapose.engine.build import Parts

Data = Mapping[str, Tensor]


def pretrain(parts: Parts, train: Data, val: Data, init: str = "he") -> tuple[nn.Module, nn.Module, list[float]]:
    """The table's encoder before the first step and after the best epoch, and the validation loss after each epoch.

    ``train`` and ``val`` are rows as the modality collates them. ``init`` is ``he``, the encoder's own initialisation, or
    ``pytorch``, that of ``torch.nn.Linear`` for all layers.
    """
    said, maker = parts.run.train, parts.plan.maker(parts.run.train.seed)
    assert said.early_stopping is not None
    method = parts.make_method()
    if init == "pytorch":
        torch.manual_seed(said.seed)
        for layer in method.modules():
            if isinstance(layer, nn.Linear):
                layer.reset_parameters()
    start = copy.deepcopy(method.encoders["tabular"]).eval()
    optimizer = torch.optim.Adam(method.parameters(), said.lr)
    order = torch.Generator().manual_seed(said.seed)

    def batches(data: Data, epoch: int, size: int, whole: bool) -> Iterator[Batch]:
        rows = torch.randperm(len(data["numeric"]), generator=order)
        for number, picked in enumerate(rows.split(size)):
            if whole and len(picked) < size:
                return
            of = {name: values[picked] for name, values in data.items()}
            views = {name: ViewBatch(of, modality, torch.arange(len(picked))) for name, modality in maker.names.items()}
            yield maker.finish(Batch(picked, views), epoch, number)

    size = min(said.batch_size, len(train["numeric"]))
    method.clock.start(len(train["numeric"]) // size, said.epochs)
    # Negative epochs: draws that training never makes.
    static = [b for number in range(said.early_stopping.passes) for b in batches(val, -1 - number, size, whole=False)]
    losses: list[float] = []
    best = start
    for epoch in range(said.epochs):
        method.train()
        for batch in batches(train, epoch, size, whole=True):
            method.loss(batch).loss.backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            method.advance()
        losses.append(_mean_loss(method, static))
        if losses[-1] == min(losses) and losses.index(losses[-1]) == epoch:
            best = copy.deepcopy(method.encoders["tabular"]).eval()
        if epoch - losses.index(min(losses)) >= said.early_stopping.patience:
            break
    return start, best, losses


@torch.no_grad()
def _mean_loss(method: nn.Module, batches: list[Batch]) -> float:
    method.eval()
    total = sum(len(batch) * float(method.loss(batch).loss) for batch in batches)
    method.forget()
    return total / sum(map(len, batches))
