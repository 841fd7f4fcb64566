"""Losses with parameters of their own, on the rows of a branch and the data of its views."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Protocol

from torch import Tensor, nn
from torch.nn import functional as F

from contrapose.errors import ConfigError
from contrapose.types import Batch, Rows, ViewBatch, ident, matches


class Step(Protocol):
    """What a head loss may ask of the step's outputs."""

    def rows(self, ref: str, scope: str = "local") -> Rows:
        """A table by reference."""

    def mean(self, values: Tensor, weights: Tensor) -> Tensor:
        """The weighted mean over the rows of all ranks, scaled such that averaged gradients are exact."""


class HeadLoss(nn.Module, ABC):
    """Base of losses with parameters. ``setup`` is called once, before training, with the term's query and its width.

    ``refs`` names the tables that it reads beyond the query. A constructor that takes a fact of a modality (its schema) by
    that name is told it.
    """

    refs: tuple[str, ...] = ()

    @abstractmethod
    def setup(self, query: str, dim: int) -> None:
        """Build the layers for embeddings of width ``dim``."""

    @abstractmethod
    def forward(self, out: Step, batch: Batch) -> Tensor:
        """A scalar."""


class Reconstruct(HeadLoss):
    """Predict a view's data from the embedding of another view of the same sample, by one linear layer.

    ``what="values"``: mean squared error to the values (VIME's feature estimation, Yoon et al. 2020, eq. 6).
    ``what="changed"``: which entries differ between the two views, by binary cross-entropy (VIME's mask estimation, eq. 5; the
    mask is taken after corruption, so a value that was redrawn as itself is unchanged).

    Args:
        target: glob of the view to predict.
        features: how many values a row of the target has.
        what: see above.
        field: entry of the data to predict where the modality's data is a dict.
    """

    def __init__(self, target: str, features: int, what: str = "values", field: str | None = None) -> None:
        super().__init__()
        if what not in ("values", "changed"):
            raise ConfigError(f"what: is 'values' or 'changed', not {what!r}")
        self.target, self.features, self.what, self.field = target, features, what, field

    def setup(self, query: str, dim: int) -> None:
        """See the base class."""
        self.query = query
        self.layer = nn.Linear(dim, self.features)

    def forward(self, out: Step, batch: Batch) -> Tensor:
        """See the base class."""
        rows = out.rows(self.query)
        wanted, has = self._data(batch, rows, lambda name: matches(name, [self.target]), own=False)
        made = self.layer(rows.z)
        if self.what == "values":
            each = (made - wanted).square().mean(-1)
        else:
            seen, _ = self._data(batch, rows, lambda name: True, own=True)
            each = F.binary_cross_entropy_with_logits(made, (seen != wanted).to(made.dtype), reduction="none").mean(-1)
        return out.mean(each, has)

    def _data(self, batch: Batch, rows: Rows, wanted: Callable[[str], bool], own: bool) -> tuple[Tensor, Tensor]:
        """Per row its sample's data (n, features) in the wanted view, and whether it has one (n,); ``own``: the row's own view."""
        data = rows.z.new_zeros(len(rows), self.features)
        has = rows.z.new_zeros(len(rows))
        for name, view in batch.views.items():
            if not wanted(name) or not len(view):
                continue
            hit = rows.meta["sample"][:, None] == batch.sample[view.index][None]
            if own:
                hit &= (rows.meta["view"] == ident(name))[:, None]
            row, at = hit.nonzero(as_tuple=True)
            data[row] = self._field(view)[at].to(data.dtype)
            has[row] = 1.0
        return data, has

    def _field(self, view: ViewBatch) -> Tensor:
        data: Any = view.data if self.field is None else view.data[self.field]
        if not isinstance(data, Tensor) or data.flatten(1).shape[1] != self.features:
            raise ConfigError(
                f"the target view {self.target!r} has not {self.features} values a row; set features: or field:"
            )
        return data.flatten(1)
