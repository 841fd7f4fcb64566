"""What tells of a run's health as it goes: cheap, without gradient, on some rows of a step."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from contrapose.losses.pair import Block, Plan
from contrapose.types import Rows

ANCHORS = 128
"""So many anchors, or rows, of a step are looked at."""


@torch.no_grad()
def top1(blocks: Sequence[Block], plan: Plan, of: slice) -> Tensor:
    """The share of the first anchors ``of`` whose most similar key is a positive one: retrieval within the batch.

    NaN without such anchors.
    """
    i = slice(of.start, min(of.stop, of.start + ANCHORS))
    nearest, farther = [], []
    for b, block in enumerate(blocks):
        if not block.width:
            continue
        every = slice(0, block.width)
        logits, pairs = block.logits(i, every), plan.tile(b, i, every)
        positive = pairs.pos > 0
        nearest.append(logits.masked_fill(~positive, -torch.inf).amax(-1))
        farther.append(logits.masked_fill(positive | (pairs.den <= 0), -torch.inf).amax(-1))
    if not nearest:
        return torch.tensor(torch.nan)
    best, other = torch.stack(nearest).amax(0), torch.stack(farther).amax(0)
    asked = best.isfinite() & other.isfinite()
    return ((best > other) & asked).sum() / asked.sum()


@torch.no_grad()
def spread(z: Tensor) -> Tensor:
    """The mean standard deviation of unit vectors' coordinates times sqrt(D): 1 for an even sphere, 0 for a collapse.

    Chen & He 2021 (SimSiam), section 4.1. ``z`` (n, D); NaN for fewer than two rows.
    """
    z = F.normalize(z[:ANCHORS].float(), dim=-1)
    return z.std(0).mean() * z.shape[-1] ** 0.5 if len(z) > 1 else z.new_tensor(torch.nan)


@torch.no_grad()
def gap(a: Rows, b: Rows, branches: Sequence[str]) -> Tensor:
    """The modality gap of a step: the distance between the mean unit vectors of two tables.

    Of the samples that have all ``branches``. Liang et al., *Mind the Gap* (NeurIPS 2022). NaN where a table has no such sample.
    """
    return (_centre(a, branches) - _centre(b, branches)).norm()


def _centre(rows: Rows, branches: Sequence[str]) -> Tensor:
    """The mean (D,) of the unit vectors."""
    shared = rows.z.new_ones(len(rows), 1)
    for column in (f"has:{b}" for b in branches):
        if column in rows.meta:
            shared = shared * (rows.meta[column] == 1)[:, None]
    return (F.normalize(rows.z, dim=-1) * shared).sum(0) / shared.sum()


@torch.no_grad()
def samples(q: Rows, counted: Tensor) -> Tensor:
    """How many samples have a counted row, ``counted`` (n,) bool; nothing waits for the device."""
    if not len(q):
        return counted.sum()
    never = torch.iinfo(torch.int64).max
    ids = q.meta["sample"].masked_fill(~counted, never).sort().values
    return (ids[0] != never) + ((ids[1:] != never) & (ids[1:] != ids[:-1])).sum()
