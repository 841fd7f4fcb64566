"""What a term is worth, given the tables of a step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import accumulate, pairwise
from typing import Any

import torch
from torch import Tensor

from contrapose.errors import ConfigError
from contrapose.losses.engine import Engine, pair_loss
from contrapose.losses.head import HeadLoss
from contrapose.losses.pair import Block, Plan
from contrapose.losses.sets import SetLoss
from contrapose.methods.gather import world_size
from contrapose.methods.health import gap, samples, top1
from contrapose.methods.outputs import Outputs
from contrapose.methods.temperature import Temperature
from contrapose.methods.term import BoundTerm
from contrapose.sources.derived import join
from contrapose.types import Batch, Rows


@dataclass
class LossOut:
    """``loss`` is a scalar with graph; ``terms`` the terms' values (detached, before their weights); ``counts`` their anchors.

    ``metrics`` are scalars that tell of health, detached; those of a step are their means over the processes. There are
    ``top1/<term>`` and ``spread/<branch>`` (`methods.health`), ``tau/<term>`` and ``weight/<term>`` where they are learnt or
    scheduled. In a method of several modalities there are also ``samples/<term>``, how many samples of all processes have a loss,
    and of a term that joins two modalities ``gap/<term>``; ``top1_from/<term>/<table>`` where it goes both ways.
    """

    loss: Tensor
    terms: dict[str, Tensor] = field(default_factory=dict)
    counts: dict[str, Tensor] = field(default_factory=dict)
    metrics: dict[str, Tensor] = field(default_factory=dict)


Scored = tuple[Tensor, Tensor, dict[str, Tensor]]
"""A term's value (a scalar with graph, 0 where no anchor has one), how many anchors of this rank it has, and its metrics."""


def score_term(
    term: BoundTerm, out: Outputs, batch: Batch, shared: Mapping[str, Temperature], engine: Engine
) -> Scored:
    """What a term is worth. Raises ``ConfigError`` with the path to the term."""
    try:
        if isinstance(term.loss, HeadLoss):
            return term.loss(out, batch), torch.tensor(len(out.query(term.query))), {}
        if isinstance(term.loss, SetLoss):
            return _set(term, out)
        return _pairs(term, out, shared, engine)
    except ConfigError as error:
        raise ConfigError(error.message, error.path or term.path) from None


def _set(term: BoundTerm, out: Outputs) -> Scored:
    tables = join([out.rows(ref, "global") for ref in term.query])
    count = torch.tensor(len(tables[0]))
    if len(tables[0]) < 2:
        return touched(tables), count * 0, {}
    return term.loss(*tables), count, {}


def _pairs(term: BoundTerm, out: Outputs, shared: Mapping[str, Temperature], engine: Engine) -> Scored:
    scale, bias = term.scale(out.clock, shared), term.offset()
    q = out.query(term.query)
    blocks, keys, used = [], [], [out.rows(ref) for ref in term.query]
    for key in term.keys:
        normalize = term.normalize if key.normalize is None else key.normalize
        rows = out.rows(key.rows, "global")
        anchors = [out.rows(ref) for ref in (term.query if key.query is None else (key.query,))]
        keys.append(replace(rows, z=out.prepared(rows, normalize)))
        here = scale if key.tau is None else 1 / key.tau
        blocks.append(Block([out.prepared(a, normalize) for a in anchors], keys[-1], term.similarity, here, bias))
        used += [*anchors, rows]
    plan = term.relation.plan(q, keys, out)
    values, weights = pair_loss(blocks, plan, term.loss, scale, engine)
    # Every rank must walk the same graph, even one without an anchor or a key, or their collectives in the backward pass
    # don't meet.
    learnt = [0 * x for x in (scale, bias) if isinstance(x, Tensor) and x.requires_grad]
    value = out.mean(values, weights, q.replicated) + touched(used) + sum(learnt)
    return value, (weights > 0).sum(), _told(term, out, q, weights, blocks, plan, scale)


def _told(
    term: BoundTerm, out: Outputs, q: Rows, weights: Tensor, blocks: list[Block], plan: Plan, scale: Any
) -> dict[str, Tensor]:
    """A term's metrics."""
    metrics = {}
    if not isinstance(term.tau, float | int):
        metrics[f"tau/{term.name}"] = 1 / torch.as_tensor(scale).detach()
    if term.relation.assigner is None:  # else every key is a positive, softly
        ends = [0, *accumulate(len(out.rows(ref)) for ref in term.query)]
        ways = [top1(blocks, plan, slice(*of)) for of in pairwise(ends)]
        metrics[f"top1/{term.name}"] = torch.stack(ways).nanmean()
        if len(ways) > 1:
            metrics |= {f"top1_from/{term.name}/{ref}": way for ref, way in zip(term.query, ways, strict=True)}
    if term.several:
        metrics[f"samples/{term.name}"] = samples(q, weights > 0) * (1 if q.replicated else world_size())
    if term.joins:
        tables = [out.rows(ref) for ref in dict.fromkeys((*term.query, *(k.rows for k in term.keys)))]
        if len(tables) == 2 and tables[0].z.shape[1:] == tables[1].z.shape[1:]:
            metrics[f"gap/{term.name}"] = gap(tables[0], tables[1], term.joins)
    return metrics


def touched(tables: list[Rows]) -> Tensor:
    """A zero in whose graph all the tables are."""
    zeros = [_Touch.apply(z) for z in {id(t.z): t.z for t in tables}.values()]
    return torch.stack(zeros).sum() if zeros else torch.zeros(())


class _Touch(torch.autograd.Function):
    """A zero; its gradient is one zero seen as a table, where that of an empty slice is a table of zeros."""

    @staticmethod
    def forward(ctx: Any, z: Tensor) -> Tensor:
        ctx.shape = z.shape
        return z.new_zeros(())

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        return torch.zeros_like(grads[0]).expand(ctx.shape)
