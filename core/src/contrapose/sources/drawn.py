"""Some of a table's rows, drawn at random."""

from __future__ import annotations

import torch

from contrapose.draws import keyed_uniform
from contrapose.errors import ConfigError
from contrapose.sources.base import Source, Step
from contrapose.types import Rows, ident


class Drawn(Source):
    """``count`` rows of a table, drawn uniformly with replacement at each step: noise samples (NPID, Wu et al. 2018, section 3.2).

    They keep their columns, and their origin becomes this source; a row may be drawn that is the anchor's own.

    Args:
        of: the table (a bank) that is drawn from.
        count: how many rows.
        query: the table whose rows get ``count`` rows each, private to them, as in the authors' code; without it all anchors
            share the same ``count``, which costs a matrix product instead of (anchors, count, D) numbers.
    """

    def __init__(self, of: str, count: int = 4096, query: str | None = None, name: str = "drawn") -> None:
        super().__init__()
        if count < 1:
            raise ConfigError(f"expected at least 1, got {count}", ("count",))
        self.refs = (of,) if query is None else (of, query)
        self.count, self.query, self.name = count, query, name

    def rows(self, out: Step, table: str = "") -> Rows | None:
        """(count, D), or (Q, count, D) private to the rows of ``query``."""
        pool = out.rows(self.refs[0], "global")
        if self.query is None:
            keys = [torch.zeros(1, dtype=torch.int64, device=pool.z.device)]
        else:
            q = out.rows(self.query)
            keys = [q.meta[c] for c in ("sample", "view", "position")]
        if not len(pool) or not len(keys[0]):
            return None
        drawn = keyed_uniform(keys, self.count, out.seed, out.clock.steps, ident(self.name))
        index = (drawn * len(pool)).long()
        index = index[0] if self.query is None else index
        number = torch.arange(self.count, device=index.device).expand_as(index)
        columns = {c: v[index] for c, v in pool.meta.items() if v.ndim == 1}
        own = {"origin": torch.full_like(number, ident(self.name)), "draw": number}
        shared = self.query is None
        return Rows(pool.z[index], columns | own, private=not shared, replicated=shared, ready=pool.ready)
