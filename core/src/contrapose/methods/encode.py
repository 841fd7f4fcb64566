"""From views to embedding tables: each encoder sees each view once, however many branches use it."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from einops import rearrange, repeat
from torch import Tensor, nn

from contrapose.branches.heads import local, lone, touch
from contrapose.methods.joint import collective, run_jointly
from contrapose.methods.project import Part
from contrapose.types import Batch, Rows, ViewBatch, cat_rows, ident, tree_cat, tree_shape

Taps = Mapping[str, Tensor]


def forward_views(encoder: nn.Module, views: Sequence[ViewBatch], together: bool, grad: bool) -> list[Taps]:
    """The encoder's taps for each view. ``together``: those of one shape in one batch. An encoded view is its own taps."""
    raw = [v for v in views if not v.encoded]
    made = iter(_forward(encoder, raw, together, grad) if raw else ())
    return [(v.data if len(v) else _nothing(encoder)) if v.encoded else next(made) for v in views]


def _forward(encoder: nn.Module, views: Sequence[ViewBatch], together: bool, grad: bool) -> list[Taps]:
    sizes = [len(v) for v in views]
    if collective(encoder):
        with contextlib.nullcontext() if grad else torch.no_grad():
            joint = run_jointly(encoder, [v.data for v in views], sizes, sizes, together)
            nothing = _nothing(encoder) if None in joint else {}
        return [t if t is not None else nothing for t in joint]
    taps: list[Taps | None] = [None] * len(views)
    groups: dict[Any, list[int]] = {}
    for n, v in enumerate(views):
        if sizes[n]:
            groups.setdefault(tree_shape(v.data) if together else n, []).append(n)
    with contextlib.nullcontext() if grad else torch.no_grad():
        for members in groups.values():
            counts = [sizes[n] for n in members]
            data = tree_cat([views[n].data for n in members]) if len(members) > 1 else views[members[0]].data
            made = lone(encoder, data) if sum(counts) == 1 else encoder(data)
            split = {tap: z.split(counts) for tap, z in made.items()}
            for place, n in enumerate(members):
                taps[n] = {tap: z[place] for tap, z in split.items()}
        nothing = _nothing(encoder) if None in taps else {}
    return [t if t is not None else nothing for t in taps]


def _nothing(encoder: nn.Module) -> Taps:
    """The taps of no rows at all, with every parameter in the graph."""
    like = local(next(iter(encoder.parameters()), torch.zeros(())))
    zero = touch(encoder).to(like.device)
    dims: Mapping[str, int] = encoder.dims  # type: ignore[assignment]
    return {tap: like.new_zeros(0, dim) + zero for tap, dim in dims.items()}


def table(name: str, grad: bool, batch: Batch, parts: Sequence[Part], present: Mapping[str, Tensor]) -> Rows:
    """One table of several views' rows, with their columns; every position of (n, P, D) is a row."""
    rows = cat_rows([_rows(name, batch, part, present) for part in parts])
    return rows if grad else rows.detach()


def _rows(name: str, batch: Batch, part: Part, present: Mapping[str, Tensor]) -> Rows:
    n, device = len(part.z), batch.sample.device
    known = {
        **{c: values[part.index] for c, values in batch.meta.items()},
        **part.meta,
        **{f"has:{b}": has[part.index] for b, has in present.items()},
    }
    own = {
        "origin": torch.full((n,), ident(name), device=device),
        "sample": batch.sample[part.index],
        "view": torch.full((n,), ident(part.view), device=device),
        "position": torch.zeros(n, dtype=torch.int64, device=device),
        "draw": torch.zeros(n, dtype=torch.int64, device=device),
    }
    told = {c: values.flatten() for c, values in part.columns.items()}
    if part.z.ndim == 2:
        return Rows(part.z, {**known, **told, **own})
    places = part.z.shape[1]
    known, own = ({c: repeat(v, "n ... -> (n p) ...", p=places) for c, v in cs.items()} for cs in (known, own))
    own["position"] = repeat(torch.arange(places, device=device), "p -> (n p)", n=n)
    return Rows(rearrange(part.z, "n p d -> (n p) d"), {**known, **told, **own})


def presence(batch: Batch, views: Sequence[str]) -> Tensor:
    """(B,) int64: which samples have any of the views."""
    has = torch.zeros_like(batch.sample)
    for view in views:
        has[batch.views[view].index] = 1
    return has
