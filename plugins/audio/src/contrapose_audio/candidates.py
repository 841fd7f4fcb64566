"""The target of each position of a clip, among others of the same clip."""

from __future__ import annotations

import torch
from torch import Tensor

from contrapose.draws import keyed_uniform
from contrapose.errors import ConfigError, did_you_mean
from contrapose.sources.base import Source, Step
from contrapose.types import Rows, ident, offered
from contrapose_audio.arguments import Count


class Candidates(Source):
    """For each anchor its target, the row of its sample and position, and ``count`` drawn rows of other positions of that sample.

    wav2vec 2.0's in-utterance distractors (Baevski et al. 2020, section 3.2): drawn evenly, with replacement. They take
    (anchors x (1 + count) x width) numbers. A candidate that isn't to count has no origin, so that ``denominator:
    origin(candidates)`` leaves it out: all of them where an anchor has no target, the drawn ones where a sample has no other
    position.

    Args:
        of: the table of the targets, of one view.
        query: the anchors' table.
        count: how many are drawn, K.
        unlike: a column; a drawn row that agrees with the target in it doesn't count (a quantiser's ``code``, as two sounds may
            be the same word).
    """

    def __init__(
        self, of: str, query: str, count: Count = 100, unlike: str | None = None, name: str = "candidates"
    ) -> None:
        super().__init__()
        self.refs, self.count, self.unlike, self.name = (of, query), count, unlike, name

    def rows(self, out: Step, table: str = "") -> Rows | None:
        """(Q, 1 + count, D), private to the anchors: the target, whose ``draw`` is 0, and the drawn."""
        pool, q = (out.rows(ref) for ref in self.refs)
        if not len(pool) and len(q):
            return None
        index, counts = self._drawn(pool, q, out)
        meta = {c: values[index] for c, values in pool.meta.items() if values.ndim == 1}
        if self.unlike is not None and len(q):
            if self.unlike not in meta:
                raise ConfigError(
                    f"no column {self.unlike!r} in {self.refs[0]}{did_you_mean(self.unlike, offered(meta))}"
                )
            counts[:, 1:] &= meta[self.unlike][:, 1:] != meta[self.unlike][:, :1]
        draw = torch.arange(1 + self.count, device=index.device).expand_as(index)
        origin = torch.full_like(index, ident(self.name)).masked_fill_(~counts, -1)
        return Rows(pool.z[index], {**meta, "origin": origin, "draw": draw}, private=True, ready=pool.ready)

    def _drawn(self, pool: Rows, q: Rows, out: Step) -> tuple[Tensor, Tensor]:
        """Which rows of the pool (Q, 1 + count), the target first, and whether each counts."""
        n = len(pool)
        if not len(q):
            nothing = torch.zeros(0, 1 + self.count, dtype=torch.int64, device=pool.z.device)
            return nothing, nothing.bool()
        of = torch.unique(torch.cat([pool.meta["sample"], q.meta["sample"]]), return_inverse=True)[1]
        position = torch.cat([pool.meta["position"], q.meta["position"]])
        number = of * (position.max() + 1) + position
        ordered, order = number[:n].sort()  # one sample after the other, each by position
        target = torch.searchsorted(ordered, number[n:]).clamp(max=n - 1)
        known = ordered[target] == number[n:]
        size = torch.bincount(of[:n], minlength=int(of.max()) + 1)
        first, others = (size.cumsum(0) - size)[of[n:], None], (size - 1)[of[n:], None].clamp_min(0)
        keys = [q.meta[c] for c in ("sample", "view", "position")]
        drawn = keyed_uniform(keys, self.count, out.seed, out.clock.steps, ident(self.name))
        place = first + (drawn * others).long()
        place = place + (place >= target[:, None])  # every place of the sample but the target's
        place = torch.where(others > 0, place, target[:, None])
        counts = torch.cat([known[:, None], (known[:, None] & (others > 0)).expand_as(place)], dim=1)
        return order[torch.cat([target[:, None], place], dim=1)], counts
