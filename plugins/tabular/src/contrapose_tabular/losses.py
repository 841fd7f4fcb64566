"""Heads that predict a row's cells, or which of them changed, from the embedding of another view of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from contrapose.errors import ConfigError
from contrapose.losses.head import HeadLoss, Step
from contrapose.types import Batch, Rows, ident, matches
from contrapose_tabular.schema import Schema


@dataclass(frozen=True)
class Cells:
    """A view's cells for each of n rows: ``numeric`` (n, F), ``categories`` (n, C); ``has`` (n,) is 0 where there is none."""

    numeric: Tensor
    categories: Tensor
    has: Tensor


def cells(batch: Batch, rows: Rows, schema: Schema, view: str | None = None) -> Cells:
    """The cells of each row's sample in the view like ``view``, or, where that is None, in the row's own.

    Raises ``ConfigError`` where no view is like it, or where it isn't one of rows of this table.
    """
    n, z = len(rows), rows.z
    found = Cells(
        z.new_zeros(n, len(schema.numeric)),
        torch.zeros(n, len(schema.categorical), dtype=torch.int64, device=z.device),
        z.new_zeros(n),
    )
    names = [name for name in batch.views if view is None or matches(name, [view])]
    if not names:
        raise ConfigError(f"no view is like {view!r}; there is {', '.join(sorted(batch.views))}")
    for name in names:
        one = batch.views[name]
        if not len(one) or (view is None and not (mine := rows.meta["view"] == ident(name)).any()):
            continue
        if not isinstance(one.data, dict) or "numeric" not in one.data:
            raise ConfigError(f"the view {name!r} isn't one of a table's rows")
        sample, order = batch.sample[one.index].sort()
        at = torch.searchsorted(sample, rows.meta["sample"]).clamp(max=len(sample) - 1)
        hit = sample[at] == rows.meta["sample"]
        hit = hit & mine if view is None else hit
        place = order[at[hit]]
        found.numeric[hit] = one.data["numeric"][place].to(z.dtype)
        found.categories[hit] = one.data["categories"][place]
        found.has[hit] = 1
    return found


def squared(made: Tensor, numeric: Tensor) -> tuple[Tensor, Tensor]:
    """Squared errors (n, F), and which numbers there are to predict, 0 where one is missing."""
    known = ~numeric.isnan()
    return (made - numeric.nan_to_num()).square() * known, known.to(made.dtype)


class Reconstruct(HeadLoss):
    """Predict a view's cells from a row's embedding by one linear layer: squared error of numbers, cross-entropy of categories.

    VIME's feature estimation (Yoon et al. 2020, eq. 6) and SubTab's reconstruction (Ucar et al. 2021, with a shallow
    decoder). These take categories as numbers, one-hot; here each column of them is a choice among its codes. What is
    missing in a column of numbers isn't predicted; in one of categories it is a code as any other.

    Args:
        target: glob of the view to predict.
        schema: of the table, which the modality gives.
        columns: the errors of a row's columns are averaged (``mean``, VIME) or added up (``sum``, SubTab).
    """

    def __init__(self, target: str, schema: Schema, columns: Literal["mean", "sum"] = "mean") -> None:
        super().__init__()
        self.target, self.schema, self.columns = target, schema, columns
        self.sizes = [column.size for column in schema.categorical]

    def setup(self, query: str, dim: int) -> None:
        """See the base class."""
        self.query = query
        self.layer = nn.Linear(dim, len(self.schema.numeric) + sum(self.sizes))

    def forward(self, out: Step, batch: Batch) -> Tensor:
        """See the base class."""
        rows = out.rows(self.query)
        wanted = cells(batch, rows, self.schema, self.target)
        made = self.layer(rows.z)
        numbers = len(self.schema.numeric)
        errors, known = squared(made[:, :numbers], wanted.numeric)
        choices = [
            F.cross_entropy(logits, codes, reduction="none")
            for logits, codes in zip(made[:, numbers:].split(self.sizes, 1), wanted.categories.T, strict=True)
        ]
        errors = torch.cat([errors, *(c[:, None] for c in choices)], 1)
        known = torch.cat([known, known.new_ones(len(rows), len(choices))], 1) * wanted.has[:, None]
        value = out.mean(errors, known)
        return value * len(self.schema.columns) if self.columns == "sum" else value


class Changed(HeadLoss):
    """Tell from a row's embedding which of its cells differ from a view's, by one linear layer and binary cross-entropy.

    VIME's mask estimation (Yoon et al. 2020, eq. 5; github.com/jsyoon0823/VIME): the mask is taken after corruption, so a
    cell that was redrawn as itself is unchanged.

    Args:
        target: glob of the view as it was.
        schema: of the table, which the modality gives.
    """

    def __init__(self, target: str, schema: Schema) -> None:
        super().__init__()
        self.target, self.schema = target, schema

    def setup(self, query: str, dim: int) -> None:
        """See the base class."""
        self.query = query
        self.layer = nn.Linear(dim, len(self.schema.columns))

    def forward(self, out: Step, batch: Batch) -> Tensor:
        """See the base class."""
        rows = out.rows(self.query)
        was, seen = cells(batch, rows, self.schema, self.target), cells(batch, rows, self.schema)
        same = (was.numeric == seen.numeric) | (was.numeric.isnan() & seen.numeric.isnan())
        changed = ~torch.cat([same, was.categories == seen.categories], 1)
        made = self.layer(rows.z)
        each = F.binary_cross_entropy_with_logits(made, changed.to(made.dtype), reduction="none")
        return out.mean(each, (was.has * seen.has)[:, None].expand_as(each))
