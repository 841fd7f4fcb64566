"""Redrawing columns from the rows of the same label or group."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from contrapose.errors import ConfigError, did_you_mean
from contrapose.types import Sample, View
from contrapose_tabular.choice import Choice, How, Rate
from contrapose_tabular.marginals import Marginals
from contrapose_tabular.scarf import in_parts, unfitted

WHOLE = 0
"""The number of the group of all rows."""


class Conditional:
    """Redraw a share of a row's columns from the marginals of the training rows that agree with it in a column of ``meta``.

    Class-conditioned corruption of Cui et al., 2024 (arXiv:2404.17489), not SCARF's, whose marginals are those of all rows.
    ``within`` may be a label, pseudo-labels that another model gave, or a group. A row without a value there (absent, -1,
    NaN), or with one that the training split lacks, is redrawn from all rows.

    Args:
        within: the column under ``meta`` that rows must agree in.
        rate: share of the columns that are redrawn.
        choose: ``exact``, so many of each row's columns; ``bernoulli``, each column for itself with probability ``rate``.
    """

    modality = "tabular"

    def __init__(self, within: str = "label", rate: Rate = 0.6, choose: How = "exact") -> None:
        self.within, self.choice = within, Choice(rate, choose)
        self.columns = (within,)
        self._parts: dict[str, GroupMarginals] = {}

    def fit(self, samples: Iterable[Sample]) -> None:
        """Take the marginals of these samples, the training split's, whole and by group.

        Raises ``ConfigError`` as SCARF's, and where not one sample has a value of ``within``.
        """
        samples = samples if hasattr(samples, "batches") else [*samples]
        numeric, categories = map(np.concatenate, in_parts("tabular/conditional", samples, self.choice))
        told = self._told(samples)
        self._parts = {
            "numeric": GroupMarginals.of(numeric, told),
            "categories": GroupMarginals.of(categories, told),
        }

    def __call__(self, sample: Sample, rng: np.random.Generator) -> list[View]:
        """One view: the row with its redrawn columns."""
        row = sample.data["tabular"]
        numeric, categories = self._fitted()
        f, m = len(row["numeric"]), len(row["numeric"]) + len(row["categories"])
        group = numeric.number(np.array([float(sample.meta.get(self.within, -1))]))
        redrawn = self.choice.one(m, rng)[None]
        drawn = rng.random((1, m))
        data = {
            "numeric": np.where(redrawn[:, :f], numeric.draw(group, drawn[:, :f]), row["numeric"])[0],
            "categories": np.where(redrawn[:, f:], categories.draw(group, drawn[:, f:]), row["categories"])[0],
        }
        return [View("", "tabular", data)]

    def batched(
        self, data: Mapping[str, Tensor], generator: torch.Generator, meta: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """The same distribution for a whole batch on its device; ``meta`` has the rows' values (n,) of ``within``, if any."""
        numeric, categories = self._fitted()
        n, f = data["numeric"].shape
        m, device = f + data["categories"].shape[1], data["numeric"].device
        told = meta[self.within].double() if self.within in meta else torch.full((n,), -1.0, dtype=torch.float64)
        group = numeric.number(told.cpu().numpy())
        redrawn = self.choice.many(n, m, generator, device)
        drawn = torch.rand(n, m, generator=generator, device=device, dtype=torch.float64)
        return {
            "numeric": torch.where(redrawn[:, :f], numeric.draw_batched(group, drawn[:, :f]), data["numeric"]),
            "categories": torch.where(redrawn[:, f:], categories.draw_batched(group, drawn[:, f:]), data["categories"]),
        }

    def state_dict(self) -> dict[str, Any]:
        """The marginals of each group: distinct values with their counts; nothing before they are fitted."""
        return {part: made.state_dict() for part, made in self._parts.items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take back what ``state_dict`` gave."""
        self._parts = {part: GroupMarginals(**said) for part, said in state.items()}

    def _told(self, samples: Iterable[Sample]) -> NDArray[np.float64]:
        """The samples' values of ``within``, -1 where it is absent. Raises ``ConfigError`` where all are without."""
        if hasattr(samples, "batches"):
            rows = ((len(data["numeric"]), meta) for data, meta in samples.batches())
        else:
            rows = ((1, sample.meta) for sample in samples)
        parts, known = [], set[str]()
        for count, meta in rows:
            known.update(meta)
            parts.append(np.broadcast_to(np.asarray(meta.get(self.within, -1), np.float64), count))
        told = np.concatenate(parts)
        if self.within not in known:
            hint = did_you_mean(self.within, known) or f": add meta: {{{self.within}: COLUMN}}"
            raise ConfigError(f"no column {self.within!r} under meta{hint}", ("within",))
        if not len(groups_of(told)):
            raise ConfigError(f"{self.within!r} is blank in the whole training split", ("within",))
        return told

    def _fitted(self) -> tuple[GroupMarginals, GroupMarginals]:
        if not self._parts:
            raise unfitted("tabular/conditional")
        return self._parts["numeric"], self._parts["categories"]

    def __repr__(self) -> str:
        return f"tabular/conditional(within={self.within}, {self.choice})"


class GroupMarginals:
    """The marginals of all rows, number 0, and of each group of rows, from 1 on in the order of ``groups`` (G,), sorted.

    ``values`` (V,) and ``counts`` (V,) list one group's columns after the other's, as `Marginals` lists columns; ``rows`` (G + 1,)
    says how many each group has. One running sum serves all: ticket t of column c in a group falls where its share lies.
    """

    def __init__(
        self, groups: NDArray[Any], values: NDArray[Any], counts: NDArray[Any], rows: NDArray[Any], columns: int
    ) -> None:
        self.groups, self.rows, self.columns = groups, np.asarray(rows), int(columns)
        self._all = Marginals(values, counts, 0)
        self._first = np.concatenate([[0], np.cumsum(self.rows * self.columns)[:-1]])

    @classmethod
    def of(cls, table: NDArray[Any], told: NDArray[np.float64]) -> GroupMarginals:
        """Those of a table (N, columns) whose rows are of the groups ``told`` (N,), -1 or NaN for none."""
        groups = groups_of(told)
        tables = [table, *(table[told == group] for group in groups)]
        parts = [Marginals.of(part) for part in tables]
        values, counts = np.concatenate([p.values for p in parts]), np.concatenate([p.counts for p in parts])
        return cls(groups, values, counts, np.array([len(part) for part in tables]), table.shape[1])

    def number(self, told: NDArray[np.float64]) -> NDArray[np.int64]:
        """The group's number for each of the values ``told`` (n,)."""
        at = np.searchsorted(self.groups, told)
        known = np.append(self.groups, np.nan)[at] == told
        return np.where(known, at + 1, WHOLE)

    def draw(self, group: NDArray[np.int64], drawn: NDArray[np.float64]) -> NDArray[Any]:
        """Values (n, columns) for rows of the groups (n,), by ``drawn`` (n, columns) uniform in [0, 1)."""
        start, rows = (x[group, None] for x in (self._first, self.rows))
        return self._all.at(start + np.arange(self.columns) * rows + (drawn * rows).astype(np.int64))

    def draw_batched(self, group: NDArray[np.int64], drawn: Tensor) -> Tensor:
        """The same on the device of ``drawn``."""
        start, rows = (torch.from_numpy(x[group, None]).to(drawn.device) for x in (self._first, self.rows))
        column = torch.arange(self.columns, device=drawn.device)
        return self._all.at_batched(start + column * rows + (drawn * rows).long())

    def state_dict(self) -> dict[str, Any]:
        """Arrays and a number."""
        return {
            "groups": self.groups,
            "values": self._all.values,
            "counts": self._all.counts,
            "rows": self.rows,
            "columns": self.columns,
        }


def groups_of(told: NDArray[np.float64]) -> NDArray[np.float64]:
    """The groups (G,), sorted, that rows of the values ``told`` (N,) are of; -1 and NaN tell none."""
    return np.unique(told[(told != -1) & ~np.isnan(told)])
