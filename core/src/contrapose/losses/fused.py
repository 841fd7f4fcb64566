"""log-sum-exps of products of two tables' rows by Triton, forward and backward: no tile of logits ever lies in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from contrapose.errors import ConfigError
from contrapose.losses.rectangles import Rectangle

BLOCK = 64
"""Side of the tiles on the chip."""

DEPTH, CHUNK, WARPS = 32, 256, 8
"""Columns of the tables that a product takes at a time and that a program has the gradient of, and its warps: by what spills no
register, or few, on sm_90; none of it was timed."""


def kernels_on(device: torch.device) -> ModuleType:
    """The kernels. Raises ``ConfigError`` where Triton isn't installed or can't work on this device."""
    try:
        from contrapose.losses import kernels
    except ImportError:
        raise ConfigError(
            "loss.engine: triton needs the package triton, which comes with torch for CUDA; engine: tiled needs nothing"
        ) from None
    if device.type != "cuda" and not kernels.INTERPRETED:
        raise ConfigError(
            f"loss.engine: triton needs a CUDA device, and this is {device.type}; engine: tiled works here"
        )
    return kernels


class FusedLogSum:
    """What ``LogSum`` gives (`logsum.py`), with the running maximum of every anchor; sums in fp32, of tables in fp32 or bf16.

    Nothing but tables and numbers a row is kept. Where pairs count both ways round, a sum is made of either side's rows, since
    no program may write another's: one product more than a tile that is added up both ways.
    """

    def __init__(self, rectangles: Sequence[Rectangle], count: int) -> None:
        self.rectangles, self.count = rectangles, count

    def __call__(self) -> Tensor:
        """The log-sums (count,), fp32, outside any graph."""
        total = self.rectangles[0].x.new_full((self.count,), -torch.inf, dtype=torch.float32)
        for r in self.rectangles:
            way = _way(r)
            for one in [way] if r.mirrored is None or r.itself else [way, way.turned()]:
                if one.rows is not None:
                    total[one.rows] = torch.logaddexp(total[one.rows], one.log_sums())
        return total

    def add_gradients(self, result: Tensor, outer: Tensor, grads: dict[int, Tensor]) -> None:
        """Add the gradients of tables and scales to those of ``grads`` that are wanted; see ``LogSum.add_gradients``."""
        nothing = result.isneginf()
        outer, result = (t.masked_fill(nothing, 0.0).float().contiguous() for t in (outer, result))
        for r in self.rectangles:
            way = _way(r)
            if id(r.x) in grads or id(r.scale) in grads:
                pulled = way.pulled(result, outer)
                if id(r.x) in grads:
                    grads[id(r.x)][r.i] += pulled
                if id(r.scale) in grads:
                    grads[id(r.scale)] += (pulled * way.x).sum() / r.scale / (2 if r.itself else 1)
            if id(r.y) in grads and not r.itself:
                pulled = way.turned().pulled(result, outer)
                if way.kept is None:
                    grads[id(r.y)][r.j] += pulled
                else:
                    grads[id(r.y)].index_add_(0, way.kept, pulled)


@dataclass
class _Way:
    """A rectangle as its rows see it: x (n, D) with all of y (m, D) but ``left_out``, and where either are among the anchors.

    ``kept`` are the rows of the rectangle's y that y has, (m,), or None for all of them.
    """

    x: Tensor
    y: Tensor
    scale: Tensor | float
    left_out: tuple[Tensor, Tensor]
    rows: slice | None
    columns: slice | None
    kept: Tensor | None = None

    def turned(self) -> _Way:
        """As its columns see it."""
        return _Way(self.y, self.x, self.scale, self.left_out[::-1], self.columns, self.rows)

    def log_sums(self) -> Tensor:
        """(n,) over the columns."""
        made = self.x.new_empty(len(self.x), dtype=torch.float32)
        if len(made):
            _launch("log_sums", (-(-len(made) // BLOCK),), self, [made])
        return made

    def pulled(self, result: Tensor, outer: Tensor) -> Tensor:
        """(n, D) gradient of x by the sums of those of its rows and columns that are anchors."""
        made = self.x.new_empty(self.x.shape, dtype=torch.float32)
        if len(made):
            by = [t if at is None else t[at] for at in (self.rows, self.columns) for t in (result, outer)]
            chunk = min(CHUNK, _power(made.shape[1]))
            grid = (-(-len(made) // BLOCK), -(-made.shape[1] // chunk))
            flags = {"BY_ROWS": self.rows is not None, "BY_COLUMNS": self.columns is not None, "CHUNK": chunk}
            _launch("pulled", grid, self, [*by, made], flags)
        return made


def _way(r: Rectangle) -> _Way:
    dtype = torch.bfloat16 if r.x.dtype == r.y.dtype == torch.bfloat16 else torch.float32
    x, y, (a, b) = r.x[r.i], r.y[r.j], r.left_out
    kept = None
    if r.without is not None:  # a copy of the table, so that the kernels needn't know
        stays = torch.ones(len(y), dtype=torch.bool, device=y.device).index_fill_(0, r.without, False)
        here, number = stays[b], stays.cumsum(0) - 1
        a, b, y, kept = a[here], number[b[here]], y[stays], stays.nonzero()[:, 0] + r.j.start
    rows = slice(r.anchors, r.anchors + len(x))
    columns = None if r.mirrored is None else slice(r.mirrored, r.mirrored + len(y))
    return _Way(x.to(dtype).contiguous(), y.to(dtype).contiguous(), r.scale, (a, b), rows, columns, kept)


def _launch(
    kernel: str, grid: tuple[int, ...], way: _Way, out: Sequence[Tensor], flags: dict[str, Any] | None = None
) -> None:
    kernels, (rows, columns) = kernels_on(way.x.device), way.left_out
    order = (rows.div(BLOCK, rounding_mode="floor") * len(way.y) + columns).argsort()
    rows, columns = rows[order], columns[order]
    blocks = torch.arange(grid[0] + 1, device=rows.device) * BLOCK
    starts = torch.searchsorted(rows.div(BLOCK, rounding_mode="floor") * BLOCK, blocks)
    half = way.x.dtype == torch.bfloat16 and not kernels.INTERPRETED  # which takes bf16 for integers
    scale = torch.as_tensor(way.scale, dtype=torch.float32, device=way.x.device).detach()
    # Where torch may use TF32, three such products, nearly as good as fp32's: one alone is off by 5 % at CLIP's scale.
    precision = "tf32x3" if torch.backends.cuda.matmul.fp32_precision == "tf32" else "ieee"
    sizes = len(way.x), len(way.y), way.x.shape[1]
    with torch.cuda.device_of(way.x):
        getattr(kernels, kernel)[grid](
            way.x, way.y, scale, rows, columns, starts, *out, *sizes, **(flags or {}),
            ROWS=BLOCK, COLUMNS=BLOCK, DEPTH=min(DEPTH, _power(sizes[2])),
            OPERAND=kernels.tl.bfloat16 if half else kernels.tl.float32,
            PRECISION=precision, num_warps=WARPS,
        )  # fmt: skip


def _power(size: int) -> int:
    """The power of 2 that holds so many columns, and no less than a product may have."""
    return max(16, 1 << (size - 1).bit_length())
