"""Products of vectors of different samples: the negatives of a similarity between more than two."""

from __future__ import annotations

from functools import reduce
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from contrapose.draws import keyed_uniform
from contrapose.errors import ConfigError, did_you_mean
from contrapose.sources.base import Source, Step
from contrapose.sources.derived import join
from contrapose.types import Rows, ident


class Combinations(Source):
    """Elementwise products of several tables' unit vectors, each factor of a sample of its own (Symile, Saporta et al. 2024, 3.3).

    Rows are made of the samples of all ranks that every table has.

    Args:
        of: the tables.
        draw: ``all``, a row for every choice of a sample for each of M tables, N^M rows; those whose factors are of one sample
            have that ``sample``, and so are positives, the others' is unknown. ``shuffled``, N rows, each table in an order of its
            own that depends on the seed and the step; row i keeps sample i, so that ``not same(sample)`` leaves each anchor
            N - 1 of them, as in the authors' code.
        having: branches that a sample must have besides (the anchors').
    """

    def __init__(
        self,
        of: list[str],
        draw: Literal["all", "shuffled"] = "all",
        having: list[str] | None = None,
        name: str = "combinations",
    ) -> None:
        super().__init__()
        if not of:
            raise ConfigError("of: names at least one table")
        self.refs, self.draw, self.having, self.name = tuple(of), draw, having or [], name

    def rows(self, out: Step, table: str = "") -> Rows | None:
        """(N^M, D) or (N, D), whose length is part of the score."""
        tables = self._whole(join([out.rows(ref, "global") for ref in self.refs]))
        sample = tables[0].meta["sample"]
        orders = self._orders(sample, out)
        z = reduce(torch.mul, (F.normalize(t.z, dim=-1)[order] for t, order in zip(tables, orders, strict=True)))
        if self.draw == "all":
            of = torch.stack([sample[o] for o in orders])
            sample = torch.where((of == of[0]).all(0), of[0], -1)
        number = torch.arange(len(z), device=z.device)
        own = torch.full_like(number, ident(self.name))
        meta = {"origin": own, "view": own, "position": number, "draw": torch.zeros_like(number)}
        return Rows(z, meta | {"sample": sample}, ready=True, replicated=True)

    def _whole(self, tables: list[Rows]) -> list[Rows]:
        """Cut down to the samples that have all branches of ``having``."""
        if not self.having or not len(tables[0]):
            return tables
        columns = tables[0].meta
        for branch in self.having:
            if f"has:{branch}" not in columns:
                known = [c.removeprefix("has:") for c in columns if c.startswith("has:")]
                raise ConfigError(f"having: there is no branch {branch!r}{did_you_mean(branch, known)}")
        whole = torch.stack([columns[f"has:{b}"] == 1 for b in self.having]).all(0).nonzero().flatten()
        return [t.take(whole) for t in tables]

    def _orders(self, sample: Tensor, out: Step) -> list[Tensor]:
        """For each table, the places (of N) from which the rows' factors come."""
        if self.draw == "all":
            place = torch.arange(len(sample), device=sample.device)
            return [g.flatten() for g in torch.meshgrid([place] * len(self.refs), indexing="ij")]
        seeds = (out.seed, out.clock.steps, ident(self.name))
        return [*keyed_uniform(sample, len(self.refs), *seeds).argsort(0).T]
