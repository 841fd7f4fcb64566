"""What one step has computed: tables by reference, gathered once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from contrapose.clock import Clock
from contrapose.errors import ConfigError, did_you_mean
from contrapose.methods.gather import gather, total, world_size
from contrapose.sources.base import Source
from contrapose.types import Batch, Rows, cat_rows, ident, matches


class Outputs:
    """The tables of one step. References are ``name[.part][/view glob]``: a branch (its ``projected`` or a tap) or a source.

    Vectors are at least fp32 from here on. Tables are kept with the gradient with which the step runs, whoever asks first: a
    relation that works under ``no_grad`` must not take the graph from the terms that follow.
    """

    def __init__(
        self,
        tables: Mapping[str, Rows],
        sources: Mapping[str, Source],
        batch: Batch,
        clock: Clock,
        seed: int = 0,
    ) -> None:
        self.tables = {name: replace(rows, z=_at_least_float(rows.z)) for name, rows in tables.items()}
        self.sources, self.batch, self.clock, self.seed = sources, batch, clock, seed
        self.names = frozenset(batch.views)
        self.grad = torch.is_grad_enabled()
        self._rows: dict[tuple[str, str], Rows] = {}
        self._mine: dict[str, slice] = {}
        self._ready: dict[tuple[int, bool], tuple[Tensor, Tensor]] = {}

    def rows(self, ref: str, scope: Literal["local", "global"] = "local") -> Rows:
        """A table: this rank's rows, or those of all ranks. Raises ``ConfigError`` for an unknown name."""
        if (ref, scope) not in self._rows:
            with torch.set_grad_enabled(self.grad):
                if scope == "local":
                    self._rows[ref, scope] = self._local(ref)
                else:
                    self._rows[ref, scope], self._mine[ref] = gather(self.rows(ref))
        return self._rows[ref, scope]

    def mine(self, ref: str) -> slice:
        """Where this rank's rows are in the global table."""
        self.rows(ref, "global")
        return self._mine[ref]

    def _local(self, ref: str) -> Rows:
        whole, _, glob = ref.partition("/")
        if glob:
            rows = self.rows(whole)
            wanted = [ident(n) for n in self.names if matches(n, [glob])]
            if not wanted:
                raise ConfigError(f"no view is like {glob!r}; there is {', '.join(sorted(self.names))}")
            keep = torch.isin(rows.meta["view"], torch.tensor(wanted, dtype=torch.int64, device=rows.z.device))
            return rows.take(keep.nonzero().flatten())
        if whole in self.tables:
            return self._annotated(self.tables[whole])
        name, _, table = whole.partition(".")
        if name not in self.sources:
            known = [*self.tables, *self.sources]
            raise ConfigError(f"there is no branch or source {whole!r}{did_you_mean(whole, known)}")
        made = self.sources[name].rows(self, table)
        return self._annotated(made) if made is not None else self._nothing(self.sources[name])

    def _annotated(self, rows: Rows) -> Rows:
        """What sources know of these rows' samples, as columns ``source.table``."""
        if rows.private:
            return rows
        known = {name: c for source in self.sources.values() for name, c in source.annotate(rows).items()}
        return rows.with_columns(**{**known, **rows.meta}) if known else rows

    def _nothing(self, source: Source) -> Rows:
        """The empty table of a source that has nothing yet: it keeps the width and the columns of what it is made of."""
        like = self.rows(source.refs[0])
        return Rows(like.z.detach()[:0], {k: c[:0] for k, c in like.meta.items()}, replicated=True)

    def prepared(self, rows: Rows, normalize: bool = True) -> Tensor:
        """A table's vectors, of unit length where asked and not so already."""
        normalize = normalize and not rows.ready
        key = (id(rows.z), normalize)
        if key not in self._ready:
            with torch.set_grad_enabled(self.grad):
                self._ready[key] = (rows.z, F.normalize(rows.z, dim=-1) if normalize else rows.z)
        return self._ready[key][1]

    def query(self, refs: Sequence[str]) -> Rows:
        """The columns of several tables one after the other."""
        return cat_rows([self.rows(r).bare() for r in refs])

    def mean(self, values: Tensor, weights: Tensor, replicated: bool = False) -> Tensor:
        """The weighted mean over the rows of all ranks; averaging the ranks' gradients gives its gradient exactly.

        Every rank counts its own rows, times the number of ranks, over the weight of all. ``replicated`` rows are the same on all
        ranks, and are counted once.
        """
        mine = weights.sum()
        world = 1 if replicated else world_size()
        everyone = mine.detach() if replicated else total(mine)
        return world * (values * weights).sum() / torch.where(everyone > 0, everyone, torch.ones_like(everyone))

    def detached(self) -> Outputs:
        """The same step outside the graph, for what is committed after it; what was gathered stays gathered."""
        tables = {name: rows.detach() for name, rows in self.tables.items()}
        with torch.no_grad():
            after = Outputs(tables, self.sources, self.batch, self.clock, self.seed)
        for (ref, scope), rows in self._rows.items():
            if scope == "global" and ref.partition("/")[0] in self.tables:
                after._rows[ref, scope], after._mine[ref] = rows.detach(), self._mine[ref]
        return after


def _at_least_float(z: Tensor) -> Tensor:
    return z if z.dtype == torch.float64 else z.float()
