"""What the relations' contract looks at: the pairs of a plan, and which tables it was made of."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from contrapose.methods.outputs import Outputs
from contrapose.relations.relation import PredicatePlan
from contrapose.types import IDENTITY, Pairs, Rows


def whole(plan: PredicatePlan) -> list[Pairs]:
    """All pairs of each block of keys at once."""
    return [plan.tile(n, slice(0, len(plan.q)), slice(0, len(keys))) for n, keys in enumerate(plan.keys)]


def slices(count: int, side: int) -> list[slice]:
    """The sides of tiles."""
    return [slice(start, min(start + side, count)) for start in range(0, count, side)]


def values(pairs: Pairs) -> list[Tensor]:
    """The weights, without their graph."""
    return [w.detach().clone() for w in (pairs.pos, pairs.den, pairs.row, pairs.attract) if w is not None]


def by_identity(plan: PredicatePlan) -> list[list[Tensor]]:
    """The weights of each block, its rows in the order of their identity."""
    q, *keys = (torch.from_numpy(np.lexsort([t.meta[c].numpy() for c in IDENTITY])) for t in (plan.q, *plan.keys))
    made = [values(p) for p in whole(plan)]
    return [[w[q][:, k] if w.ndim == 2 else w[q] for w in block] for block, k in zip(made, keys, strict=True)]


class Watched:
    """A step that remembers which tables a relation asks of it."""

    def __init__(self, out: Outputs) -> None:
        self._out, self.asked = out, set[str]()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._out, name)

    def rows(self, ref: str, scope: Any = "local") -> Rows:
        """A table by reference."""
        self.asked.add(ref)
        return self._out.rows(ref, scope)
