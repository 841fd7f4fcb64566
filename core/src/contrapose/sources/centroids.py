"""Cluster centres of the whole training set, found anew each epoch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from contrapose.clock import Clock, check_span
from contrapose.errors import ConfigError
from contrapose.sources.base import Step, Stored
from contrapose.types import Rows, ident


class Centroids(Stored):
    """k-means centres at several granularities, each with its own temperature (PCL, Li et al. 2021, eq. 11 and 12).

    Each level is a table ``<name>.<level>``, and every row gets the column ``<name>.<level>`` with its sample's cluster, so
    that ``same(<name>.0)`` makes the centre a positive. A centre's temperature is the density phi of its cluster.

    Args:
        of: the table to cluster, embedded over the training set without augmentation at the start of each epoch.
        counts: clusters per level.
        tau: mean of the densities.
        start: ``{epochs: n}`` or ``{steps: n}`` before which there are none.
        seed: of k-means.
    """

    def __init__(
        self,
        of: str,
        counts: list[int],
        tau: float = 0.2,
        start: Mapping[str, Any] | None = None,
        seed: int = 0,
        name: str = "centroids",
    ) -> None:
        super().__init__()
        check_span(start, "start")
        self.refs, self.counts, self.tau, self.start, self.seed, self.name = (of,), counts, tau, start, seed, name

    def width(self, dim: Callable[[str], int], table: str = "") -> int:
        """See the base class."""
        if table not in ("", *map(str, range(len(self.counts)))):
            raise ConfigError(f"there is no level {table!r}; the {len(self.counts)} levels count from 0")
        return dim(self.refs[0])

    def rows(self, out: Step, table: str = "") -> Rows | None:
        """The centres of one level, ``table`` its number."""
        level = int(table or 0)
        if f"centres {level}" not in self._buffers:
            return None
        z = self.get_buffer(f"centres {level}")
        number = torch.arange(len(z), device=z.device)
        meta = {c: torch.full_like(number, ident(self.name)) for c in ("origin", "view")}
        meta |= {"sample": torch.full_like(number, -1), "position": number, "draw": torch.full_like(number, level)}
        meta[f"{self.name}.{level}"] = number
        return Rows(z, meta, tau=self.get_buffer(f"density {level}"), replicated=True, ready=True)

    def annotate(self, rows: Rows) -> dict[str, Tensor]:
        """The cluster of each row's sample at each level, -1 where unknown."""
        sample = rows.meta["sample"]
        columns = {}
        for level in range(len(self.counts)):
            column = torch.full_like(sample, -1)
            if f"assigned {level}" in self._buffers:
                assigned = self.get_buffer(f"assigned {level}")
                known = (sample >= 0) & (sample < len(assigned))
                column[known] = assigned[sample[known]]
            columns[f"{self.name}.{level}"] = column
        return columns

    @torch.no_grad()
    def epoch(self, embed: Callable[[str], Rows], clock: Clock) -> None:
        """Cluster the training set."""
        if not clock.reached(self.start):
            return
        rows = embed(self.refs[0])
        z = F.normalize(rows.z, dim=-1)
        for level, count in enumerate(self.counts):
            means, assigned = _kmeans(z, min(count, len(z)), self.seed)
            table = torch.full((int(rows.meta["sample"].max()) + 1,), -1, dtype=torch.int64, device=z.device)
            table[rows.meta["sample"]] = assigned
            self.keep(f"centres {level}", F.normalize(means, dim=-1))
            self.keep(f"assigned {level}", table)
            self.keep(f"density {level}", density(z, means, assigned, self.tau))


def _kmeans(z: Tensor, count: int, seed: int) -> tuple[Tensor, Tensor]:
    from sklearn.cluster import KMeans

    found = KMeans(count, n_init=1, random_state=seed).fit(z.cpu().double().numpy())
    centres = torch.as_tensor(found.cluster_centers_, dtype=z.dtype, device=z.device)
    return centres, torch.as_tensor(found.labels_.astype(np.int64), device=z.device)


def density(z: Tensor, centres: Tensor, assigned: Tensor, tau: float) -> Tensor:
    """phi (K,) of each cluster: mean distance over log(size + 10), clipped to its 10th-90th percentile, with mean ``tau``."""
    far = (z - centres[assigned]).norm(dim=-1)
    size = torch.bincount(assigned, minlength=len(centres))
    total = torch.zeros(len(centres), dtype=z.dtype, device=z.device).index_add(0, assigned, far)
    phi = total / size.clamp_min(1) / (size + 10).to(z.dtype).log()
    phi = torch.where(size > 1, phi, phi.max())
    phi = phi.clamp(torch.quantile(phi, 0.1), torch.quantile(phi, 0.9))
    mean = phi.mean()
    return tau * phi / mean if mean > 0 else torch.full_like(phi, tau)
