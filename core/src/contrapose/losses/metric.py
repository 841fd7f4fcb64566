"""The losses of pytorch-metric-learning (MIT, kevinmusgrave.github.io/pytorch-metric-learning), on a branch's rows."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import Any

import torch
from torch import Tensor, nn

from contrapose.errors import ConfigError, did_you_mean
from contrapose.losses.head import HeadLoss, Step
from contrapose.types import Batch, offered

Node = str | dict[str, Any]
PARTS = ("losses", "miners", "distances", "reducers", "regularizers")


class MetricLearning(HeadLoss):
    """Any loss of the library over the rows of all ranks, a column of which says what belongs together.

    The library's objects are written as ours are: ``{use: TripletMarginLoss, margin: 0.2, distance: {use: LpDistance, power: 2}}``.
    What draws at random there is seeded by nobody; the defaults don't.

    Args:
        loss: node of the loss.
        miner: node of what picks pairs or triplets for it.
        same: rows that agree in this column are positives of each other, all others negatives; -1 agrees with nothing.
    """

    def __init__(self, loss: Node, miner: Node | None = None, same: str = "sample") -> None:
        super().__init__()
        self.loss = _made(loss, ("loss",))
        self.miner = None if miner is None else _made(miner, ("miner",))
        self.same = same

    def setup(self, query: str, dim: int) -> None:
        """See the base class."""
        self.query = query

    def forward(self, out: Step, batch: Batch) -> Tensor:
        """See the base class. Raises ``ConfigError`` where the rows lack the column."""
        rows = out.rows(self.query, "global")
        if len(rows) < 2:
            return rows.z.flatten()[:0].sum()
        if self.same not in rows.meta:
            raise ConfigError(f"the rows have no column {self.same!r}{did_you_mean(self.same, offered(rows.meta))}")
        labels = rows.meta[self.same]
        labels = torch.where(labels == -1, -2 - torch.arange(len(labels), device=labels.device), labels)
        return self.loss(rows.z, labels, None if self.miner is None else self.miner(rows.z, labels))


@cache
def _known() -> dict[str, type[nn.Module]]:
    """The library's classes by name."""
    try:
        modules = [vars(import_module(f"pytorch_metric_learning.{part}")) for part in PARTS]
    except ModuleNotFoundError as error:
        if error.name is None or not error.name.startswith("pytorch_metric_learning"):
            raise
        raise ConfigError("needs pytorch-metric-learning: pip install 'contrapose[metric-learning]'") from None
    return {n: c for m in modules for n, c in m.items() if isinstance(c, type) and issubclass(c, nn.Module)}


def _made(node: Node, path: tuple[str, ...]) -> nn.Module:
    """The object that a node says, its arguments' nodes made first."""
    arguments = {"use": node} if isinstance(node, str) else dict(node)
    name = str(arguments.pop("use", ""))
    if name not in _known():
        raise ConfigError(
            f"use: names a class of pytorch-metric-learning, not {name!r}{did_you_mean(name, _known())}", path
        )
    made = {k: _made(v, (*path, k)) if isinstance(v, dict) else v for k, v in arguments.items()}
    try:
        return _known()[name](**made)
    except (TypeError, ValueError, AssertionError) as error:
        raise ConfigError(f"pytorch-metric-learning's {name}: {error}", path) from error
