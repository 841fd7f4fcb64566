"""The hardest of many mixes of easy negatives with others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from contrapose.clock import check_span
from contrapose.draws import keyed_uniform
from contrapose.errors import ConfigError
from contrapose.sources.base import Source, Step
from contrapose.types import Rows, ident

SHARES = (1 / 3, 2 / 3)
"""How much of the easy negative a mix has, as in the authors' code."""


class HardestMixes(Source):
    """Mixed hard samples, private to each query (hard negative generation of Zhong et al. 2021, NCL).

    The ``easiest`` rows of ``of``, those least similar to the query and so surely negative, are each mixed with a random row of
    ``others``, ``rounds`` times in both shares (1/3 and 2/3), and made unit vectors; the ``hardest`` mixes, those most similar to
    the query, are kept. No gradient. Where the authors shuffle ``others`` each round, here its rows are drawn with replacement.

    Args:
        query: the table whose rows want negatives.
        of: the table (a queue) whose easiest rows are mixed.
        others: the table that they are mixed with; the paper's holds rows of other, labelled classes. By default ``of`` itself.
        easiest: how many rows of ``of`` a query takes.
        rounds: how often.
        hardest: how many mixes a query keeps.
        start: ``{epochs: n}`` or ``{steps: n}`` before which there are none.
    """

    def __init__(
        self,
        query: str,
        of: str,
        others: str | None = None,
        easiest: int = 400,
        rounds: int = 5,
        hardest: int = 400,
        start: Mapping[str, Any] | None = None,
        name: str = "mixes",
    ) -> None:
        super().__init__()
        check_span(start, "start")
        for argument, value in {"easiest": easiest, "rounds": rounds, "hardest": hardest}.items():
            if value < 1:
                raise ConfigError(f"expected at least 1, got {value}", (argument,))
        self.refs, self.easiest, self.rounds, self.hardest = (query, of, others or of), easiest, rounds, hardest
        self.start, self.name = start, name

    @torch.no_grad()
    def rows(self, out: Step, table: str = "") -> Rows | None:
        """Private keys (Q, hardest, D), fewer where there are fewer mixes."""
        q, pool, others = out.rows(self.refs[0]), *(out.rows(ref, "global") for ref in self.refs[1:])
        if not (len(q) and len(pool) and len(others) and out.clock.reached(self.start)):
            return None
        anchor, easy, other = (F.normalize(t.z, dim=-1) for t in (q, pool, others))
        least = (anchor @ easy.T).topk(min(self.easiest, len(pool)), dim=1, largest=False).indices
        keys = [q.meta[c] for c in ("sample", "view", "position")]
        drawn = keyed_uniform(keys, self.rounds * least.shape[1], out.seed, out.clock.steps, ident(self.name))
        partner = (drawn * len(others)).long()

        def mix(which: Tensor) -> Tensor:
            """The mixes (Q, n, D) of these numbers (Q, n): by round, then share, then easy negative."""
            turn, place = which // least.shape[1], which % least.shape[1]
            share = torch.tensor(SHARES, dtype=easy.dtype, device=easy.device)[turn % len(SHARES)][..., None]
            with_whom = partner.gather(1, turn // len(SHARES) * least.shape[1] + place)
            return F.normalize(share * easy[least.gather(1, place)] + (1 - share) * other[with_whom], dim=-1)

        every = torch.arange(self.rounds * len(SHARES) * least.shape[1], device=least.device).expand(len(q), -1)
        # one round and share at a time: all mixes at once would take (Q, 4000, D) numbers
        s = torch.cat([torch.einsum("qd,qnd->qn", anchor, mix(n)) for n in every.split(least.shape[1], 1)], 1)
        kept = s.topk(min(self.hardest, s.shape[1]), dim=1).indices
        number = torch.arange(kept.shape[1], device=kept.device).expand_as(kept)
        meta = {c: torch.full_like(number, -1) for c in pool.meta}
        meta |= {"origin": torch.full_like(number, ident(self.name)), "position": number, "draw": number}
        return Rows(mix(kept), meta, private=True, ready=True)
