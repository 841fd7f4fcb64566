"""SAINT's denoising: each column's cell from the state of that column."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from contrapose.errors import ConfigError
from contrapose.losses.head import HeadLoss, Step
from contrapose.types import Batch
from contrapose_tabular.losses import cells, squared
from contrapose_tabular.schema import Schema

WIDER = 5
"""How many times as wide as a column's state its hidden layer is, in the authors' code."""


class Denoise(HeadLoss):
    """Predict a view's cells, each from its own column's state by an MLP of its own (Somepalli et al. 2021).

    As in the authors' code (github.com/somepago/saint, pretraining.py): the mean squared error over all numbers, times
    ``numbers``, and the cross-entropy summed over the columns of categories, times ``categories``. What is missing in a
    column of numbers isn't predicted; in one of categories it is a code as any other. The query is a table whose positions
    are the columns, numbers first (``tap: dense`` of ``tabular/ft-transformer``).

    Args:
        target: glob of the view to predict.
        schema: of the table, which the modality gives.
        numbers: weight of the squared error (the code's lam3).
        categories: weight of the cross-entropy (lam2).
    """

    def __init__(self, target: str, schema: Schema, numbers: float = 10.0, categories: float = 1.0) -> None:
        super().__init__()
        self.target, self.schema, self.numbers, self.categories = target, schema, numbers, categories

    def setup(self, query: str, dim: int) -> None:
        """See the base class."""
        self.query = query
        columns, count, hidden = len(self.schema.columns), len(self.schema.numeric), WIDER * dim
        self.first, self.shift = _linear(columns, dim, hidden)
        self.last, self.level = _linear(count, hidden, 1)
        self.choices = nn.ModuleList(nn.Linear(hidden, column.size) for column in self.schema.categorical)

    def forward(self, out: Step, batch: Batch) -> Tensor:
        """See the base class."""
        rows = out.rows(self.query)
        columns, count = len(self.schema.columns), len(self.schema.numeric)
        # Column by column; within one, the rows keep their order, which is the same in all.
        rows = rows.take(rows.meta["position"].argsort(stable=True))
        if len(rows) % columns:
            raise ConfigError(f"the query {self.query!r} has not a position for each of {columns} columns")
        each = len(rows) // columns
        hidden = torch.relu(rows.z.reshape(columns, each, rows.z.shape[1]) @ self.first + self.shift)
        wanted = cells(batch, rows.take(slice(0, each)), self.schema, self.target)
        made = (hidden[:count] @ self.last + self.level)[..., 0].T
        errors, known = squared(made, wanted.numeric)
        value = self.numbers * out.mean(errors, known * wanted.has[:, None])
        if self.choices:
            entropy = [
                F.cross_entropy(choice(h), codes, reduction="none")
                for choice, h, codes in zip(self.choices, hidden[count:], wanted.categories.T, strict=True)
            ]
            value = value + self.categories * out.mean(torch.stack(entropy, 1).sum(1), wanted.has)
        return value


def _linear(count: int, dim: int, out: int) -> tuple[nn.Parameter, nn.Parameter]:
    """Weights (count, dim, out) and biases (count, 1, out) of so many linear layers, drawn as ``nn.Linear`` draws its own."""
    bound = dim**-0.5
    return (
        nn.Parameter(torch.empty(count, dim, out).uniform_(-bound, bound)),
        nn.Parameter(torch.empty(count, 1, out).uniform_(-bound, bound)),
    )
