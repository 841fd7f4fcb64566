"""An entry for every sample, moved a little towards each new embedding of it."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from contrapose.draws import keyed_uniform
from contrapose.errors import ConfigError
from contrapose.sources.base import Step, Stored
from contrapose.types import Rows, ident


class Bank(Stored):
    """A unit vector for each sample, the running mean of its embeddings (NPID, Wu et al. 2018, section 3; CMC, PIRL).

    After the optimiser step each entry of the step becomes ``unit(momentum * entry + (1 - momentum) * embedding)``, so no loss
    meets the batch's own embeddings here. The table ``<name>`` holds the entries of all samples that have been seen, this step's
    among them; ``<name>.batch`` those of this step's samples alone. Both are ordered by the sample.

    The bank grows with the largest sample id that it meets, so it needs no size, and a checkpoint brings its size along. The
    entry of a sample that comes for the first time is a random direction that depends on the seed and the sample alone, as in
    the authors' code; unlike there, no other sample is drawn before it has been seen.

    Args:
        of: the table that it follows; several rows of a sample count as their mean.
        momentum: share of the old entry.
    """

    z: Tensor
    seen: Tensor
    counted = True

    def __init__(self, of: str, momentum: float = 0.5, name: str = "bank") -> None:
        super().__init__()
        if not 0 <= momentum < 1:
            raise ConfigError(f"expected at least 0 and less than 1, got {momentum}", ("momentum",))
        self.refs, self.momentum, self.name = (of,), momentum, name

    def width(self, dim: Callable[[str], int], table: str = "") -> int:
        """See the base class."""
        if table not in ("", "batch"):
            raise ConfigError(f"a bank has no table {table!r}; there is {self.name} and {self.name}.batch")
        return dim(self.refs[0])

    @torch.no_grad()
    def rows(self, out: Step, table: str = "") -> Rows | None:
        """The entries, without gradient and equal on all ranks."""
        like = out.rows(self.refs[0], "global")
        samples = like.meta["sample"].unique()
        if table == "" and "seen" in self._buffers:
            samples = torch.cat([self.seen.nonzero().flatten(), samples]).unique()
        if not len(samples):
            return None
        zero = torch.zeros_like(samples)
        meta = {c: zero + ident(self.name) for c in ("origin", "view")}
        meta |= {"sample": samples, "position": zero, "draw": zero}
        return Rows(self._entries(samples, like.z, out.seed), meta, replicated=True, ready=True)

    @torch.no_grad()
    def commit(self, out: Step) -> None:
        """Move the entries of this step's samples."""
        rows = out.rows(self.refs[0], "global")
        if not len(rows):
            return
        samples, where = rows.meta["sample"].unique(return_inverse=True)
        count = torch.bincount(where, minlength=len(samples))[:, None]
        mean = rows.z.new_zeros(len(samples), rows.z.shape[1]).index_add(0, where, F.normalize(rows.z, dim=-1)) / count
        moved = self.momentum * self._entries(samples, rows.z, out.seed) + (1 - self.momentum) * mean
        self._grow(int(samples[-1]) + 1, rows.z)
        self.z[samples] = F.normalize(moved, dim=-1).to(self.z.dtype)
        self.seen[samples] = True

    def _entries(self, samples: Tensor, like: Tensor, seed: int) -> Tensor:
        """(n, D): what is stored of the samples, a random direction for those that were never seen."""
        if "seen" not in self._buffers:
            return direction(samples, like.shape[1], seed, ident(self.name)).to(like.dtype)
        known = samples < len(self.seen)
        known[known.clone()] = self.seen[samples[known]]
        entries = self.z.new_empty(len(samples), self.z.shape[1])
        entries[known] = self.z[samples[known]]
        if not known.all():
            entries[~known] = direction(samples[~known], self.z.shape[1], seed, ident(self.name)).to(self.z.dtype)
        return entries

    def _grow(self, size: int, like: Tensor) -> None:
        """Make room for the samples 0 to ``size`` - 1."""
        if "seen" not in self._buffers:
            self.keep("z", like.new_zeros(0, like.shape[1]))
            self.keep("seen", torch.zeros(0, dtype=torch.bool, device=like.device))
        more = size - len(self.seen)
        if more > 0:
            self.keep("z", F.pad(self.z, (0, 0, 0, more)))
            self.keep("seen", F.pad(self.seen, (0, more)))


def direction(keys: Tensor, dim: int, *seeds: int) -> Tensor:
    """Float64 unit vectors (N, dim), uniform on the sphere, that depend on each row's int64 key (N,) and the seeds alone."""
    u = keyed_uniform(keys, dim, *seeds)
    return F.normalize(torch.special.ndtri(u.clamp_min(2.0**-54)), dim=-1)
