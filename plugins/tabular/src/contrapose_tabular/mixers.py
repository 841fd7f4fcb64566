"""Rows made of the batch's other rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from contrapose.types import ViewBatch
from contrapose_tabular.choice import Choice, How, Rate

Share = Annotated[float, Field(ge=0, le=1)]


@dataclass(frozen=True)
class InBatch:
    """Redraw a share of a row's columns from the batch's other rows: the marginals of the batch in place of the training split's.

    Nothing is fitted. A batch of one row stays as it is. ``donors: one`` with ``choose: bernoulli`` is CutMix on rows of a table.
    Raises ``ConfigError`` where ``rate`` redraws no column.

    Args:
        of: the slot whose rows are corrupted.
        rate: share of the columns that are redrawn.
        choose: ``exact``, so many of each row's columns; ``bernoulli``, each column for itself with probability ``rate``.
        donors: ``each``, another row for each column; ``one``, all of a row's new values from one other row.
    """

    of: str
    rate: Rate = 0.6
    choose: How = "exact"
    donors: Literal["each", "one"] = "each"
    modality: str = "tabular"

    def mix(self, views: ViewBatch, sample: Tensor, generator: torch.Generator) -> ViewBatch:
        """See ``contrapose.views.BatchMixer``."""
        numeric, categories = views.data["numeric"], views.data["categories"]
        n, f = numeric.shape
        m = f + categories.shape[1]
        redrawn = self._choice(m).many(n, m, generator, numeric.device)
        wide = m if self.donors == "each" else 1
        on = torch.randint(1, max(n, 2), (n, wide), generator=generator, device=numeric.device)
        donor = ((torch.arange(n, device=numeric.device)[:, None] + on) % n).expand(n, m)
        data = {
            "numeric": torch.where(redrawn[:, :f], numeric.gather(0, donor[:, :f]), numeric),
            "categories": torch.where(redrawn[:, f:], categories.gather(0, donor[:, f:]), categories),
        }
        return ViewBatch(data, views.modality, views.index, dict(views.meta))

    def _choice(self, columns: int) -> Choice:
        choice = Choice(self.rate, self.choose)
        choice.require("tabular/in-batch", columns)
        return choice


@dataclass(frozen=True)
class Saint:
    """CutMix on the cells, then mixup of what the encoder embeds: SAINT's second view (Somepalli et al. 2021, arXiv:2106.01342).

    Each cell is replaced with probability ``cutmix`` by that of one other row a row (a permutation of the batch, which may
    leave a row its own). The embedding is ``mixup`` of the row's and the rest of another corrupted row's: the view has the
    other's cells as ``with_numeric`` and ``with_categories``, and ``share``, which this plugin's encoders mix by once they
    have embedded both.

    Rates are those of the authors' code (github.com/somepago/saint, ``pt_aug_lam`` and ``mixup_lam``). Its columns say which sample
    a view was mixed with, and by what share.

    Args:
        of: the slot whose rows are mixed.
        cutmix: probability that a cell is replaced.
        mixup: share of the row itself in the embedding.
    """

    of: str
    cutmix: Share = 0.1
    mixup: Share = 0.3
    modality: str = "tabular"

    def mix(self, views: ViewBatch, sample: Tensor, generator: torch.Generator) -> ViewBatch:
        """See ``contrapose.views.BatchMixer``."""
        n, device = len(views), views.index.device
        donor, other = (torch.rand(n, generator=generator, device=device).argsort() for _ in range(2))
        data = {}
        for part in ("numeric", "categories"):
            cells = views.data[part]
            cut = torch.rand(cells.shape, generator=generator, device=device) < self.cutmix
            data[part] = torch.where(cut, cells[donor], cells)
        data |= {f"with_{part}": cells[other] for part, cells in [*data.items()]}
        data["share"] = torch.full((n,), self.mixup, device=device)
        told = {"other": sample[views.index[other]], "other_share": 1 - data["share"].double()}
        return ViewBatch(data, views.modality, views.index, {**views.meta, **told})
