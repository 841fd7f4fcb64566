"""Keys that an anchor's embeddings find: mined positives, false negatives."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from contrapose.errors import ConfigError
from contrapose.relations.predicate import SELF, Tile, column_of, parse
from contrapose.relations.relation import Annotator, Step
from contrapose.types import Rows

BLOCK = 8192
"""So many keys are compared at a time, so that mining in a long queue takes no matrix of its length."""


class TopK(Annotator):
    """The ``count`` keys nearest to each anchor's sample, of those nearer than ``above``.

    Mines false negatives (FNC, Huynh et al. 2022: the support set) and positives by another modality (CoCLR, Han et
    al. 2020). The anchors' own embeddings need not take part: all rows of the sample in ``query`` speak for it, and a key is
    as near as it is to the nearest of them. So the anchors of a sample share what is found.

    ``same(<column>, to=self)`` then holds for the very rows that were found, and with ``give: sample``
    ``same(<column>, to=sample)`` for all rows of their samples, in whatever table.

    Args:
        query: table whose rows speak for the anchors' samples.
        keys: tables that are searched.
        count: how many keys at most.
        above: only keys whose cosine is greater.
        within: which keys may be found, by the columns of the sample's first row in ``query``.
        give: the column of the found keys that the anchors get; ``self`` is their identity.
    """

    def __init__(
        self,
        query: str,
        keys: list[str],
        count: int,
        above: float = -math.inf,
        within: str = "not same(sample)",
        give: str = SELF,
    ) -> None:
        super().__init__()
        if count < 1:
            raise ConfigError(f"expected at least 1, got {count}", ("count",))
        if not keys:
            raise ConfigError("names at least one table to search", ("keys",))
        self.refs, self.query, self.keys = (query, *keys), query, tuple(keys)
        self.count, self.above, self.within, self.give = count, above, parse(within), give

    @torch.no_grad()
    def column(self, q: Rows, out: Step) -> Tensor:
        """(Q, count) values of the column ``give``, nearest first, -1 where fewer keys were found."""
        speakers, pools = out.rows(self.query), [out.rows(ref, "global") for ref in self.keys]
        if any(p.private for p in pools):
            raise ConfigError(f"{', '.join(self.keys)}: rows that are private to each anchor can't be searched")
        found = torch.full((len(q), self.count), -1, dtype=torch.int64, device=q.z.device)
        if not len(q) or not len(speakers):
            return found
        samples, where = speakers.meta["sample"].unique(return_inverse=True)
        number = torch.arange(len(speakers), device=where.device)
        first = torch.full_like(samples, len(speakers)).scatter_reduce(0, where, number, "amin")
        ids = self._nearest(speakers, where, speakers.take(first), pools, out)
        at = torch.searchsorted(samples, q.meta["sample"]).clamp_max(len(samples) - 1)
        known = samples[at] == q.meta["sample"]
        found[:, : ids.shape[1]] = ids[at].masked_fill(~known[:, None], -1)
        return found

    def _nearest(self, speakers: Rows, where: Tensor, firsts: Rows, pools: list[Rows], out: Step) -> Tensor:
        """(S, <= count) what the samples find; ``where`` (R,) is the sample of each speaker, ``firsts`` (S,) stand for them."""
        mine = out.prepared(speakers)
        best = mine.new_zeros(len(firsts), 0)
        ids = torch.zeros(len(firsts), 0, dtype=torch.int64, device=mine.device)
        for pool in pools:
            theirs = out.prepared(pool)
            for start in range(0, len(pool), BLOCK):
                part = slice(start, start + BLOCK)
                keys = pool.take(part)
                s = mine @ theirs[part].T
                s = s.new_full((len(firsts), len(keys)), -torch.inf).scatter_reduce(
                    0, where[:, None].expand_as(s), s, "amax"
                )
                s = s.masked_fill(~self.within(Tile(firsts, keys, out.names)), -torch.inf)
                names = column_of(keys, self.give).expand(len(firsts), -1)
                best, ids = torch.cat([best, s], 1), torch.cat([ids, names], 1)
                best, at = best.topk(min(self.count, best.shape[1]), dim=1)
                ids = ids.gather(1, at)
        return ids.masked_fill(~(best > self.above), -1)
