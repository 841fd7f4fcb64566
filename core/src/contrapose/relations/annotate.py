"""Columns of the anchors that are computed from embeddings."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from contrapose.relations.predicate import Tile, parse
from contrapose.relations.relation import Annotator, Step, Weigher
from contrapose.types import Rows


class Match(Annotator):
    """The position of the key nearest to each anchor in another table of the same rows (DenseCL, Wang et al. 2021, eq. 4).

    Args:
        query: table by which the anchors are compared, row for row theirs.
        key: table by which the keys are compared.
        within: which keys an anchor may match.
    """

    def __init__(self, query: str, key: str, within: str = "same(sample)") -> None:
        super().__init__()
        self.refs, self.within = (query, key), parse(within)

    @torch.no_grad()
    def column(self, q: Rows, out: Step) -> Tensor:
        """Position (Q,) of the nearest key, -1 where none is allowed."""
        a, b = out.rows(self.refs[0]), out.rows(self.refs[1])
        matched = torch.full((len(a),), -1, dtype=torch.int64, device=a.z.device)
        if len(a) and len(b):
            allowed = self.within(Tile(a, b, out.names))
            s = (out.prepared(a) @ out.prepared(b).T).masked_fill(~allowed, -torch.inf)
            best = s.argmax(1)
            matched = torch.where(allowed.any(1), b.meta["position"][best], matched)
        return matched


class VonMises(Weigher):
    """Weights ``2 - N softmax(s / sigma)`` of the positive part (DCLW, Yeh et al. 2022, eq. 6).

    s is the similarity of an anchor to its positive, the softmax is over the N anchors of all ranks.

    Args:
        query: the anchors' table, over which the softmax runs on all ranks.
        key: the positives' table.
        sigma: width.
        grad: let the gradient through the weights; lightly's code doesn't, and neither is the default here.
        link: who is whose positive.
    """

    def __init__(
        self, query: str, key: str, sigma: float = 0.5, grad: bool = False, link: str = "same(sample) and not self"
    ) -> None:
        super().__init__()
        self.refs, self.sigma, self.grad, self.link = (query, key), sigma, grad, parse(link)

    def weigh(self, q: Rows, out: Step) -> Tensor:
        """Weight (Q,), of mean 1 over all anchors."""
        with torch.set_grad_enabled(self.grad and torch.is_grad_enabled()):
            everyone, some = self._positive(out, "global")
            mine, _ = self._positive(out, "local")
            total = torch.where(some, everyone / self.sigma, -torch.inf).logsumexp(0)
            return 2 - some.sum() * (mine / self.sigma - total).exp() if some.any() else torch.ones_like(mine)

    def _positive(self, out: Step, scope: Literal["local", "global"]) -> tuple[Tensor, Tensor]:
        """Similarity (Q,) of each anchor to the mean of its positives, and whether it has any (Q,)."""
        a, b = out.rows(self.refs[0], scope), out.rows(self.refs[1], scope)
        link = self.link(Tile(a, b, out.names)).to(a.z.dtype)
        mean = link @ out.prepared(b) / link.sum(1, keepdim=True).clamp_min(1)
        return (out.prepared(a) * mean).sum(1), link.any(1)
