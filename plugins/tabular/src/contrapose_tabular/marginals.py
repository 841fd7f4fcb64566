"""The empirical marginals of a table's columns, to draw from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

MOST = 2**24
"""So many places are written out on a device, a value each; beyond, values are searched for, which takes longer."""


class Marginals:
    """Distinct values of each column, and how many of the rows hold each; missing is a value as any other.

    ``values`` (V,) and ``counts`` (V,) int64 list one column's after the other's. As the counts of each column sum to ``rows``,
    one running sum serves all columns: ticket t of column c, uniform in [0, rows), falls to the value in whose share of the
    running sum c * rows + t lies. Without counts each place has a value of its own: ``values`` (columns * rows,).
    """

    def __init__(self, values: NDArray[Any], counts: NDArray[np.int64], rows: int) -> None:
        self.values, self.counts, self.rows = values, counts, rows
        self._ends = np.cumsum(counts)
        self._on: dict[torch.device, tuple[Tensor, Tensor | None]] = {}

    @classmethod
    def least(cls, parts: Sequence[NDArray[Any]]) -> Marginals:
        """Those of a table that comes in parts (n, columns), without counts where that takes less memory."""
        columns = [np.sort(np.concatenate([part[:, c] for part in parts])) for c in range(parts[0].shape[1])]
        rows, size, count = sum(map(len, parts)), parts[0].itemsize, np.dtype(np.int64).itemsize
        if sum(map(_distinct, columns)) * (size + count) <= len(columns) * rows * size:
            return cls.of(np.concatenate(parts))
        return cls(np.concatenate(columns), np.empty(0, np.int64), rows)

    @classmethod
    def of(cls, table: NDArray[Any]) -> Marginals:
        """Those of a table (rows, columns)."""
        found = [np.unique(column, return_counts=True) for column in table.T]
        values = [v for v, _ in found] or [np.empty(0, table.dtype)]
        counts = [c for _, c in found] or [np.empty(0, np.int64)]
        return cls(np.concatenate(values), np.concatenate(counts).astype(np.int64), len(table))

    def draw(self, tickets: NDArray[np.int64]) -> NDArray[Any]:
        """Values (..., columns) for tickets (..., columns) in [0, rows)."""
        return self.at(tickets + np.arange(tickets.shape[-1]) * self.rows)

    def at(self, places: NDArray[np.int64]) -> NDArray[Any]:
        """The values in whose share of the running sum these places lie."""
        return self.values[np.searchsorted(self._ends, places, side="right") if len(self.counts) else places]

    def draw_batched(self, tickets: Tensor) -> Tensor:
        """The same on the tickets' device, where the table stays from the first call on."""
        return self.at_batched(tickets + torch.arange(tickets.shape[-1], device=tickets.device) * self.rows)

    def at_batched(self, places: Tensor) -> Tensor:
        """``at`` on the places' device, (n, columns)."""
        device = places.device
        if device not in self._on:
            written_out = self.counts.sum() <= MOST  # as they are without counts
            held = np.repeat(self.values, self.counts) if written_out and len(self.counts) else self.values
            self._on[device] = (
                torch.from_numpy(held).to(device),
                None if written_out else torch.from_numpy(self._ends).to(device),
            )
        values, ends = self._on[device]
        found = places if ends is None else torch.searchsorted(ends, places, right=True)
        return values.index_select(0, found.flatten()).view(places.shape)

    def state_dict(self) -> dict[str, Any]:
        """Arrays and a number."""
        return {"values": self.values, "counts": self.counts, "rows": self.rows}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Marginals:
        """What ``state_dict`` gave."""
        return cls(state["values"], state["counts"], state["rows"])

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_on": {}}


def _distinct(column: NDArray[Any]) -> int:
    """How many values a sorted column has; NaN is one."""
    return (
        int((column[1:] > column[:-1]).sum()) + 1 + int(np.isnan(column[-1:]).any() and not np.isnan(column[:1]).any())
    )
