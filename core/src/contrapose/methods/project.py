"""From an encoder's taps to a branch's vectors: heads on the rows of views, and a sample's views folded into one row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from contrapose.branches.heads import run
from contrapose.errors import ConfigError
from contrapose.methods.joint import collective, run_jointly
from contrapose.types import Batch


@dataclass(frozen=True)
class Part:
    """The rows of a table that come from one view, or from several that are folded.

    ``z`` is (n, D) or (n, P, D), whose every position will be a row; ``index`` (n,) each row's position in ``Batch.sample``;
    ``meta`` columns (n,) or (n, M) that the view's generator gave; ``columns`` what the heads told of each position, (n, P), or
    (n,) without positions.
    """

    view: str
    index: Tensor
    meta: dict[str, Tensor]
    z: Tensor
    columns: dict[str, Tensor] = field(default_factory=dict)


def of_views(batch: Batch, views: Sequence[str], z: Sequence[Tensor]) -> list[Part]:
    """A part for each view."""
    found = [batch.views[v] for v in views]
    return [Part(v, b.index, b.meta, part) for v, b, part in zip(views, found, z, strict=True)]


def on_views(head: nn.Module | None, parts: list[Part], width: int, together: bool) -> list[Part]:
    """A head on each view's rows: on all of them in one batch, or on one view after the other."""
    if head is None:
        return parts
    if collective(head):
        vectors = [p.z.shape[:-1].numel() for p in parts]
        found = run_jointly(head, [p.z for p in parts], [len(p.z) for p in parts], vectors, together)
        outs = [run(head, p.z, width) if out is None else out for p, out in zip(parts, found, strict=True)]
        return [_made(p, *_told(out)) for p, out in zip(parts, outs, strict=True)]
    if not together or len({p.z.shape[1:] for p in parts}) > 1:
        return [_made(p, *_told(run(head, p.z, width))) for p in parts]
    z, columns = _told(run(head, torch.cat([p.z for p in parts]), width))
    sizes = [len(p.z) for p in parts]
    split = {name: column.split(sizes) for name, column in columns.items()}
    return [
        _made(p, part, {name: found[n] for name, found in split.items()})
        for n, (p, part) in enumerate(zip(parts, z.split(sizes), strict=True))
    ]


def fold(parts: Sequence[Part], count: int, name: str, batch: Batch) -> list[Part]:
    """For each modality a row (count * D) a sample: its views one after the other, in the order of the batch's views.

    Samples that lack one of them have no row; other columns are those of the first view. The rows' view is named after the branch,
    ``modality/name``. Raises ``ConfigError`` where a modality hasn't ``count`` views.
    """
    groups: dict[str, list[Part]] = {}
    for p in parts:
        groups.setdefault(batch.views[p.view].modality, []).append(p)
    for group in groups.values():
        if len(group) != count:
            shown = ", ".join(p.view for p in group)
            raise ConfigError(f"branch {name!r} folds {count} views of a sample into one row, but there is {shown}")
    return [_folded(group, f"{modality}/{name}", len(batch)) for modality, group in groups.items()]


def _folded(parts: Sequence[Part], view: str, size: int) -> Part:
    rows = torch.stack([torch.full((size,), -1, device=p.index.device) for p in parts])
    for n, p in enumerate(parts):
        rows[n, p.index] = torch.arange(len(p.index), device=p.index.device)
    kept = (rows >= 0).all(0).nonzero().flatten()
    first = parts[0]
    # A view without rows has no positions either, so that only its width tells.
    z = [p.z[rows[n, kept]] if len(kept) else p.z.flatten(0, -2)[:0] for n, p in enumerate(parts)]
    return Part(view, kept, {c: v[rows[0, kept]] for c, v in first.meta.items()}, torch.cat(z, -1))


def head_width(head: nn.Module, dim: int) -> int:
    """A head's width: what it says of itself, or what comes out of it."""
    out: Any = getattr(head, "out", None)
    if isinstance(out, int):
        return out
    training = head.training
    with torch.no_grad():
        made, _ = _told(head.eval()(torch.zeros(2, dim)))
    head.train(training)
    return int(made.shape[-1])


def _told(made: Any) -> tuple[Tensor, dict[str, Tensor]]:
    """A head's output as vectors and columns."""
    return made if isinstance(made, tuple) else (made, {})


def _made(before: Part, z: Tensor, columns: dict[str, Tensor]) -> Part:
    """A part after a head; columns from before stay where the positions do."""
    kept = before.columns if z.shape[:-1] == before.z.shape[:-1] else {}
    return replace(before, z=z, columns={**kept, **columns})
