"""A first-in-first-out queue of keys of past steps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from contrapose.errors import ConfigError
from contrapose.sources.base import Step, Stored
from contrapose.types import Rows, ident


class Queue(Stored):
    """The last ``size`` rows of a table (MoCo, He et al. 2020).

    Rows enter after the optimiser step, never before the loss, so that no batch meets its own keys here. They keep their
    columns (sample, view, label, ...), and their origin becomes this queue. Each step's rows of all ranks enter in the order of
    the ranks; a batch that doesn't divide ``size`` wraps around.

    Args:
        of: the table whose rows enter.
        size: how many are kept.
        normalize: store unit vectors.
        start: ``{epochs: n}`` or ``{steps: n}``: offers no rows before then, though it fills.
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
        if n == 0 or not out.clock.reached(self.start) or (self.full and n < self.size):
            return None
        meta = {name: self.get_buffer(f"column {name}")[:n] for name in self.column_names()}
        z = self.get_buffer("z")[:n]
        meta["origin"] = torch.full((n,), ident(self.name), dtype=torch.int64, device=z.device)
        return Rows(z, meta, replicated=True, ready=self.normalize)

    @torch.no_grad()
    def commit(self, out: Step) -> None:
        """Take in this step's rows."""
        rows = out.rows(self.refs[0], "global").detach()
        if not len(rows):
            return
        z = F.normalize(rows.z, dim=-1) if self.normalize else rows.z
        columns = {n: c for n, c in rows.meta.items() if c.ndim == 1 and "." not in n}  # a.b is computed anew each step
        values = {"z": z, **{f"column {n}": c for n, c in columns.items()}}
        if "z" not in self._buffers:
            for name, value in values.items():
                self.keep(name, value.new_zeros((self.size, *value.shape[1:])))
        count, start = min(len(rows), self.size), int(self.pointer)
        at = (start + torch.arange(count, device=z.device)) % self.size
        for name, value in values.items():
            if name in self._buffers:
                self.get_buffer(name)[at] = value[-count:].to(self.get_buffer(name).dtype)
        self.pointer.fill_((start + count) % self.size)
        self.filled.fill_(min(int(self.filled) + count, self.size))
