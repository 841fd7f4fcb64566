"""A first-in-first-out queue of keys of past steps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from contrapose.clock import check_span
from contrapose.errors import ConfigError
from contrapose.sources.base import Step, Stored
from contrapose.types import Rows, ident, unknown


class Queue(Stored):
    """The last ``size`` rows of a table (MoCo, He et al. 2020).

    Rows enter after the optimiser step, never before the loss, so that no batch meets its own keys here. They keep their
    columns (sample, view, label, ...), and their origin becomes this queue. Each step's rows enter in the order of view, sample and
    position, which is that of no rank, so that the same ones leave on any number of them; a batch that doesn't divide ``size``
    wraps around.

    Args:
        of: the table whose rows enter.
        size: how many are kept.
        normalize: store unit vectors.
        start: ``{epochs: n}`` or ``{steps: n}``: begins to fill only then.
        full: offers no rows until it is full.
    """

    pointer: Tensor
    filled: Tensor

    def __init__(
        self,
        of: str,
        size: int = 65536,
        normalize: bool = True,
        start: Mapping[str, Any] | None = None,
        full: bool = False,
        name: str = "queue",
    ) -> None:
        super().__init__()
        if size < 1:
            raise ConfigError(f"a queue holds at least 1 row, not {size}")
        check_span(start, "start")
        self.refs, self.size, self.normalize, self.start, self.full, self.name = (
            (of,),
            size,
            normalize,
            start,
            full,
            name,
        )
        self.register_buffer("pointer", torch.zeros((), dtype=torch.int64))
        self.register_buffer("filled", torch.zeros((), dtype=torch.int64))

    def rows(self, out: Step, table: str = "") -> Rows | None:
        """The stored rows, replicated on all ranks and without gradient."""
        n = int(self.filled)
        if n == 0 or (self.full and n < self.size):
            return None
        meta = {name: self.get_buffer(f"column {name}")[:n] for name in self.column_names()}
        z = self.get_buffer("z")[:n]
        meta["origin"] = torch.full((n,), ident(self.name), dtype=torch.int64, device=z.device)
        return Rows(z, meta, replicated=True, ready=self.normalize)

    @torch.no_grad()
    def commit(self, out: Step) -> None:
        """Take in this step's rows."""
        if not out.clock.reached(self.start):
            return
        rows = out.rows(self.refs[0], "global")
        if not len(rows):
            return
        rows = rows.take(_order(rows))
        count, start = min(len(rows), self.size), int(self.pointer)
        at = (start + torch.arange(count, device=rows.z.device)) % self.size
        self._put("z", F.normalize(rows.z, dim=-1) if self.normalize else rows.z, at)
        # A column source.table is computed anew each step, so it isn't kept; one that these rows lack is unknown for them.
        columns = {n: c for n, c in rows.meta.items() if "." not in n}
        for name in {*self.column_names(), *columns}:
            stored = self._buffers.get(f"column {name}")
            like = columns[name] if stored is None else stored
            assert like is not None
            nothing = like.new_full((len(rows), *like.shape[1:]), unknown(like.dtype))
            self._put(f"column {name}", columns.get(name, nothing), at)
        self.pointer.fill_((start + count) % self.size)
        self.filled.fill_(min(int(self.filled) + count, self.size))

    def _put(self, name: str, value: Tensor, at: Tensor) -> None:
        """Write the last rows of ``value`` at the positions ``at``; a column of several values grows as wide as need be."""
        stored = self._buffers.get(name)
        empty = 0.0 if name == "z" else unknown(value.dtype)
        if stored is None:
            stored = value.new_full((self.size, *value.shape[1:]), empty)
        wide = max(stored.shape[-1], value.shape[-1]) if value.ndim == 2 else 0
        if wide:
            stored = F.pad(stored, (0, wide - stored.shape[-1]), value=empty)
            value = F.pad(value, (0, wide - value.shape[-1]), value=empty)
        stored[at] = value[-len(at) :].to(stored.dtype)
        self.keep(name, stored)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        saved = state_dict.get(f"{prefix}z")
        if saved is not None and len(saved) != self.size:
            raise ConfigError(
                f"the checkpoint's queue holds {len(saved)} rows, this one {self.size}; set size: {len(saved)}"
            )
        super()._load_from_state_dict(state_dict, prefix, *args)


def _order(rows: Rows) -> Tensor:
    order = torch.arange(len(rows), device=rows.z.device)
    for name in ("position", "sample", "view"):
        if name in rows.meta:
            order = order[rows.meta[name][order].argsort(stable=True)]
    return order
