"""Sources without state: tables made of other tables."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from functools import reduce
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from contrapose.clock import check_span
from contrapose.draws import keyed_uniform
from contrapose.errors import ConfigError, did_you_mean
from contrapose.sources.base import Source, Step
from contrapose.types import Rows, ident, offered


class Mean(Source):
    """The mean of a sample's rows, one row a sample, before any normalisation (CrossPoint, Afham et al. 2022, eq. 4).

    Args:
        of: the table.
        normalize: make the rows unit vectors first.
        by: a column of whole numbers: a row for each of its values in a sample, which is that row's ``position`` too (DeCLUTR,
            Giorgi et al. 2021, section 3.1: the spans of one anchor).
    """

    def __init__(self, of: str, normalize: bool = False, by: str | None = None, name: str = "mean") -> None:
        super().__init__()
        self.refs, self.normalize, self.by, self.name = (of,), normalize, by, name

    def rows(self, out: Step, table: str = "") -> Rows | None:
        """(samples, D), by ascending sample; (samples x values of ``by``, D)."""
        return self.reduce(out.rows(self.refs[0]))

    def reduce(self, rows: Rows) -> Rows:
        """The means of any table; other columns are those of the sample's first row."""
        z = F.normalize(rows.z, dim=-1) if self.normalize else rows.z
        found, where = torch.unique(rows.meta["sample"], return_inverse=True)
        if self.by:
            values, value = torch.unique(self._column(rows), return_inverse=True)
            found, where = torch.unique(where * len(values) + value, return_inverse=True)
        count = torch.bincount(where, minlength=len(found)).to(z.dtype)
        mean = z.new_zeros(len(found), z.shape[1]).index_add(0, where, z) / count[:, None]
        number = torch.arange(len(rows), device=z.device)
        first = torch.full_like(found, len(rows)).scatter_reduce(0, where, number, "amin")
        meta = {k: c[first] for k, c in rows.meta.items()} | _own(self.name, len(found), z.device)
        if self.by:
            meta["position"] = self._column(rows)[first]
        return Rows(mean, meta, replicated=rows.replicated)

    def _column(self, rows: Rows) -> Tensor:
        if self.by not in rows.meta:
            if not len(rows):
                return rows.meta["sample"]
            raise ConfigError(
                f"no column {self.by!r} in {self.refs[0]}, which its views or meta must bring"
                f"{did_you_mean(str(self.by), offered(rows.meta))}",
                ("method", "sources", self.name, "by"),
            )
        return rows.meta[self.by]


class Joined(Source):
    """Tables joined on the sample, a row for each sample that all of them have (once a sample in each)."""

    ready = False

    def __init__(self, of: list[str], name: str) -> None:
        super().__init__()
        if len(of) < 1:
            raise ConfigError("of: names at least one table to join")
        self.refs, self.name = tuple(of), name

    def rows(self, out: Step, table: str = "") -> Rows | None:
        """The joined table."""
        tables = join([out.rows(ref) for ref in self.refs])
        meta = reduce(lambda a, b: {**b, **a}, (t.meta for t in tables))
        z = self.combine([t.z for t in tables])
        alike = all(t.replicated for t in tables)
        return Rows(z, meta | _own(self.name, len(z), z.device), ready=self.ready, replicated=alike)

    @abstractmethod
    def combine(self, tables: list[Tensor]) -> Tensor:
        """Several (N, D) to one."""


class Stack(Joined):
    """Tuples of vectors (N, M, D), for similarities of more than two (GRAM's ``volume``)."""

    def __init__(self, of: list[str], name: str = "stack") -> None:
        super().__init__(of, name)

    def combine(self, tables: list[Tensor]) -> Tensor:
        """(N, M, D)."""
        return torch.stack(tables, 1)


class Product(Joined):
    """The elementwise product of unit vectors: its inner product with a third is Symile's (Saporta et al. 2024, eq. 5)."""

    ready = True

    def __init__(self, of: list[str], name: str = "product") -> None:
        super().__init__(of, name)

    def combine(self, tables: list[Tensor]) -> Tensor:
        """(N, D), whose length is part of the score."""
        return reduce(torch.mul, (F.normalize(t, dim=-1) for t in tables))


class Synthetic(Source):
    """Hard negatives mixed from each query's hardest, private to it (MoCHi, Kalantidis et al. 2020, eqs. 4 and 5).

    The ``hardest`` rows of ``of`` nearest to the query are mixed in pairs, ``mixed`` times with U(0, 1), and with the query
    itself, ``with_query`` times with U(0, 0.5) on the query; then made unit vectors. No gradient.

    Args:
        query: the table whose rows want negatives.
        of: the table (a queue) they are made of.
        hardest: N of the paper.
        mixed: s of the paper.
        with_query: s' of the paper.
        start: ``{epochs: n}`` or ``{steps: n}`` before which there are none.
    """

    def __init__(
        self,
        query: str,
        of: str,
        hardest: int = 1024,
        mixed: int = 1024,
        with_query: int = 128,
        start: Mapping[str, Any] | None = None,
        name: str = "synthetic",
    ) -> None:
        super().__init__()
        check_span(start, "start")
        if hardest < 1:
            raise ConfigError(f"expected at least 1, got {hardest}", ("hardest",))
        self.refs, self.hardest, self.mixed, self.with_query = (query, of), hardest, mixed, with_query
        self.start, self.name = start, name

    @torch.no_grad()
    def rows(self, out: Step, table: str = "") -> Rows | None:
        """Private keys (Q, mixed + with_query, D)."""
        q, pool = out.rows(self.refs[0]), out.rows(self.refs[1], "global")
        if not len(pool) or not len(q) or not out.clock.reached(self.start):
            return None
        anchor, k = F.normalize(q.z, dim=-1), F.normalize(pool.z, dim=-1)
        top = (anchor @ k.T).topk(min(self.hardest, len(pool)), dim=1).indices
        s, t, n = self.mixed, self.with_query, top.shape[1]
        keys = [q.meta[c] for c in ("sample", "view", "position")]
        drawn = keyed_uniform(keys, 3 * s + 2 * t, out.seed, out.clock.steps, ident(self.name))
        first, second, alpha, third, beta = drawn.split([s, s, s, t, t], dim=1)

        def pick(u: Tensor) -> Tensor:
            return k[top.gather(1, (u * n).long())]

        a, b = alpha[..., None].to(k.dtype), 0.5 * beta[..., None].to(k.dtype)
        mixes = torch.cat([a * pick(first) + (1 - a) * pick(second), b * anchor[:, None] + (1 - b) * pick(third)], 1)
        number = torch.arange(s + t, device=k.device).expand(len(q), -1)
        meta = {c: torch.full_like(number, -1) for c in pool.meta}
        meta |= {"origin": torch.full_like(number, ident(self.name)), "position": number, "draw": number}
        return Rows(F.normalize(mixes, dim=-1), meta, private=True, ready=True)


def join(tables: list[Rows]) -> list[Rows]:
    """The rows of the samples that every table has, in the order of the first; a sample comes once in each table."""
    for t in tables:
        if len(t.meta["sample"].unique()) != len(t):
            raise ConfigError("tables are joined on the sample, but one has several rows a sample; name one view of it")
    kept = tables[0].meta["sample"]
    for t in tables[1:]:
        kept = kept[torch.isin(kept, t.meta["sample"])]
    return [
        t.take((kept[:, None] == t.meta["sample"][None]).int().argmax(1)) if len(kept) else t.take(kept) for t in tables
    ]


def _own(name: str, count: int, device: torch.device) -> dict[str, Tensor]:
    zero = torch.zeros(count, dtype=torch.int64, device=device)
    return {"origin": zero + ident(name), "view": zero + ident(name), "position": zero, "draw": zero}
