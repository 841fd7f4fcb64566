"""Features moved along the line between two of them: harder positives, more diverse negatives (Zhu et al. 2021)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from contrapose.clock import check_span
from contrapose.draws import keyed_uniform
from contrapose.errors import ConfigError
from contrapose.sources.base import Source, Step
from contrapose.sources.derived import join
from contrapose.types import Rows, ident


class Extrapolated(Source):
    """A positive pair pushed apart: ``l q + (1 - l) k`` and ``l k + (1 - l) q``, l ~ 1 + Beta(alpha, alpha) for each coordinate.

    The positive extrapolation of Zhu et al. 2021 (FT). ``<name>.query`` and ``<name>.key`` are its two tables, a row a
    sample, made of unit vectors and not normalised again; the gradient flows through both, into whatever q and k have one.

    Args:
        query: table of the anchors, one row a sample.
        key: table of their positives, one row a sample.
        alpha: of the Beta distribution.
        start: ``{epochs: n}`` or ``{steps: n}`` before which the pair is left as it is.
    """

    def __init__(
        self,
        query: str,
        key: str,
        alpha: float = 2.0,
        start: Mapping[str, Any] | None = None,
        name: str = "extrapolated",
    ) -> None:
        super().__init__()
        check_span(start, "start")
        self.refs, self.alpha, self.start, self.name = (query, key), _checked(alpha), start, name

    def width(self, dim: Callable[[str], int], table: str = "") -> int:
        """See the base class."""
        if table not in ("query", "key"):
            raise ConfigError(f"there are two tables, {self.name}.query and {self.name}.key")
        return dim(self.refs[0])

    def rows(self, out: Step, table: str = "") -> Rows | None:
        """(samples, D), the samples that both tables have."""
        q, k = join([out.rows(ref) for ref in self.refs])
        mine, other = (q, k) if table == "query" else (k, q)
        z = F.normalize(mine.z, dim=-1)
        if out.clock.reached(self.start):
            keys = [q.meta[c] for c in ("sample", "view", "position")]
            u = keyed_uniform(keys, z.shape[1], out.seed, out.clock.steps, ident(self.name))
            far = 1 + beta_quantile(u, self.alpha).to(z.dtype)
            z = far * z + (1 - far) * F.normalize(other.z, dim=-1)
        origin = torch.full_like(mine.meta["origin"], ident(self.name))
        return Rows(z, {**mine.meta, "origin": origin}, ready=True)


class Interpolated(Source):
    """Every row of a table mixed with another: ``l n + (1 - l) n'``, l ~ Beta(alpha, alpha) for each coordinate.

    The negative interpolation of Zhu et al. 2021 (FT); n' is n in another order. Made of unit vectors, not normalised again, and
    without gradient. The table itself (a queue) keeps the rows as they are.

    Args:
        of: the table.
        alpha: of the Beta distribution.
        start: ``{epochs: n}`` or ``{steps: n}`` before which the rows are left as they are.
    """

    def __init__(
        self, of: str, alpha: float = 1.6, start: Mapping[str, Any] | None = None, name: str = "interpolated"
    ) -> None:
        super().__init__()
        check_span(start, "start")
        self.refs, self.alpha, self.start, self.name = (of,), _checked(alpha), start, name

    @torch.no_grad()
    def rows(self, out: Step, table: str = "") -> Rows | None:
        """(N, D), equal on all ranks."""
        pool = out.rows(self.refs[0], "global")
        if not len(pool):
            return None
        z = pool.z if pool.ready else F.normalize(pool.z, dim=-1)
        number = torch.arange(len(pool), device=z.device)
        if out.clock.reached(self.start):
            u = keyed_uniform(number, z.shape[1] + 1, out.seed, out.clock.steps, ident(self.name))
            near = beta_quantile(u[:, 1:], self.alpha).to(z.dtype)
            z = near * z + (1 - near) * z[u[:, 0].argsort()]
        meta = {c: torch.full_like(values, -1) for c, values in pool.meta.items() if values.ndim == 1}
        meta |= {"origin": torch.full_like(number, ident(self.name)), "position": number}
        return Rows(z, meta, replicated=True, ready=True)


def _checked(alpha: float) -> float:
    if not alpha >= 0.5:
        raise ConfigError(f"expected at least 0.5, got {alpha}", ("alpha",))
    return alpha


def beta_quantile(u: Tensor, alpha: float) -> Tensor:
    """The quantiles of Beta(alpha, alpha) at ``u`` in [0, 1), to 1e-6: uniform numbers become Beta distributed."""
    angle, cumulated = (t.to(u.device) for t in _beta_table(alpha))
    at = torch.searchsorted(cumulated, u.contiguous(), right=True).clamp(1, len(cumulated) - 1)
    below, above = cumulated[at - 1], cumulated[at]
    share = (u - below) / (above - below).clamp_min(1e-300)
    return torch.sin(torch.lerp(angle[at - 1], angle[at], share)).square()


@lru_cache
def _beta_table(alpha: float, count: int = 4097) -> tuple[Tensor, Tensor]:
    """Angles t in [0, pi/2] and the distribution function of x = sin^2 t there, whose density in t is smooth for alpha >= 1/2."""
    angle = torch.linspace(0, torch.pi / 2, count, dtype=torch.float64)
    density = (torch.sin(angle) * torch.cos(angle)).clamp_min(0) ** (2 * alpha - 1)
    cumulated = torch.cumulative_trapezoid(density, angle)
    cumulated = torch.cat([cumulated.new_zeros(1), cumulated])
    return angle, cumulated / cumulated[-1]
