"""What a term is worth, given the tables of a step."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from contrapose.losses.head import HeadLoss
from contrapose.losses.pair import Block, pair_loss
from contrapose.losses.sets import SetLoss
from contrapose.methods.outputs import Outputs
from contrapose.methods.term import BoundTerm
from contrapose.sources.derived import join
from contrapose.types import Batch, Rows


@dataclass
class LossOut:
    """``loss`` is a scalar with graph; ``terms`` the terms' values (detached, before their weights); ``counts`` their anchors."""

    loss: Tensor
    terms: dict[str, Tensor] = field(default_factory=dict)
    counts: dict[str, Tensor] = field(default_factory=dict)


def score_term(term: BoundTerm, out: Outputs, batch: Batch, tile: int | None) -> tuple[Tensor, Tensor]:
    """A term's value (a scalar with graph, 0 where no anchor has one), and how many anchors of this rank it has."""
    if isinstance(term.loss, HeadLoss):
        return term.loss(out, batch), torch.tensor(len(out.query(term.query)))
    if isinstance(term.loss, SetLoss):
        return _set(term, out)
    return _pairs(term, out, tile)


def _set(term: BoundTerm, out: Outputs) -> tuple[Tensor, Tensor]:
    tables = join([out.rows(ref, "global") for ref in term.query])
    count = torch.tensor(len(tables[0]))
    if len(tables[0]) < 2:
        return touched(tables), count * 0
    return term.loss(*(replace(t, z=out.prepared(t, False)) for t in tables)), count


def _pairs(term: BoundTerm, out: Outputs, tile: int | None) -> tuple[Tensor, Tensor]:
    scale, bias = term.scale(out.clock), term.offset()
    q = out.query(term.query)
    blocks, keys = [], []
    for key in term.keys:
        normalize = term.normalize if key.normalize is None else key.normalize
        rows = out.rows(key.rows, "global")
        anchors = q if key.query is None else out.rows(key.query)
        ready = replace(rows, z=out.prepared(rows, normalize))
        blocks.append(
            Block(out.prepared(anchors, normalize), ready, term.similarity, 1 / key.tau if key.tau else scale, bias)
        )
        keys.append(ready)
    plan = term.relation.plan(q, keys, out)
    values, weights = pair_loss(blocks, plan, term.loss, scale, tile)
    # Every rank must walk the same graph, or their collectives in the backward pass don't meet.
    idle = [q, *keys] if not len(values) else [k for k, b in zip(keys, blocks, strict=True) if not b.width]
    return out.mean(values, weights, q.replicated) + touched(idle), (weights > 0).sum()


def touched(tables: list[Rows]) -> Tensor:
    """A zero in whose graph all the tables are."""
    zeros = [t.z.flatten()[:0].sum() for t in tables]
    return torch.stack(zeros).sum() if zeros else torch.zeros(())
