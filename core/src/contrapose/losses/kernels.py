"""Triton kernels for log-sums of exponentials of products, and for their gradients: imported where they are asked for alone."""

# mypy: ignore-errors

import triton
import triton.language as tl


@triton.jit
def _logits(
    x, y, scale, rows, first, out_rows, out_columns, at, end, n, m, d,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, DEPTH: tl.constexpr, OPERAND: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """(ROWS, COLUMNS) logits in fp32, -inf outside the tables and where left out, and how far that list is read now."""
    columns = first + tl.arange(0, COLUMNS).to(tl.int64)
    s = tl.zeros((ROWS, COLUMNS), tl.float32)
    for start in range(0, d, DEPTH):
        depth = start + tl.arange(0, DEPTH)
        a = tl.load(x + rows[:, None] * d + depth[None, :], mask=(rows < n)[:, None] & (depth < d)[None, :], other=0.0)
        b = tl.load(
            y + columns[None, :] * d + depth[:, None], mask=(columns < m)[None, :] & (depth < d)[:, None], other=0.0
        )
        s = tl.dot(a.to(OPERAND), b.to(OPERAND), s, input_precision=PRECISION)
    s = tl.where((rows < n)[:, None] & (columns < m)[None, :], s * scale, -float("inf"))
    column = tl.load(out_columns + at, mask=at < end, other=m + COLUMNS)
    while column < first + COLUMNS:
        row = tl.load(out_rows + at)
        s = tl.where((rows == row)[:, None] & (columns == column)[None, :], -float("inf"), s)
        at += 1
        column = tl.load(out_columns + at, mask=at < end, other=m + COLUMNS)
    return s, at


@triton.jit
def log_sums(
    x, y, scale, out_rows, out_columns, starts, result, n, m, d,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, DEPTH: tl.constexpr, OPERAND: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """``result`` (n,) of x (n, d) and y (m, d): a program has ROWS of x, and below their running maxima adds up all of y.

    The pairs left out are sorted by block of rows, then by column; those of a block begin at its ``starts``.
    """
    block = tl.program_id(0)
    rows = block.to(tl.int64) * ROWS + tl.arange(0, ROWS)
    factor = tl.load(scale)
    at, end = tl.load(starts + block), tl.load(starts + block + 1)
    top = tl.full((ROWS,), -1e30, tl.float32)  # finite, so that a difference of two never gives NaN
    total = tl.zeros((ROWS,), tl.float32)
    for first in range(0, m, COLUMNS):
        s, at = _logits(
            x, y, factor, rows, first, out_rows, out_columns, at, end, n, m, d, ROWS, COLUMNS, DEPTH, OPERAND, PRECISION
        )  # fmt: skip
        best = tl.maximum(top, tl.max(s, 1))
        total = total * tl.exp(top - best) + tl.sum(tl.exp(s - best[:, None]), 1)
        top = best
    some = total != 0  # NaN is something
    tl.store(result + rows, tl.where(some, top + tl.log(tl.where(some, total, 1.0)), -float("inf")), mask=rows < n)


@triton.jit
def pulled(
    x, y, scale, out_rows, out_columns, starts, row_result, row_outer, column_result, column_outer, gradient, n, m, d,
    BY_ROWS: tl.constexpr, BY_COLUMNS: tl.constexpr, CHUNK: tl.constexpr,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, DEPTH: tl.constexpr, OPERAND: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """``gradient`` (n, d) of the rows of x, fp32: a program has ROWS of them, CHUNK of d, and makes their logits again.

    A pair has its share e^(s - result) in the sum of its row, of its column, or of both, times the ``outer`` gradient by that.
    """
    block = tl.program_id(0)
    rows = block.to(tl.int64) * ROWS + tl.arange(0, ROWS)
    part = tl.program_id(1) * CHUNK + tl.arange(0, CHUNK)
    factor = tl.load(scale)
    at, end = tl.load(starts + block), tl.load(starts + block + 1)
    if BY_ROWS:
        own = tl.load(row_result + rows, mask=rows < n, other=0.0)
        own_outer = tl.load(row_outer + rows, mask=rows < n, other=0.0)
    total = tl.zeros((ROWS, CHUNK), tl.float32)
    for first in range(0, m, COLUMNS):
        s, at = _logits(
            x, y, factor, rows, first, out_rows, out_columns, at, end, n, m, d, ROWS, COLUMNS, DEPTH, OPERAND, PRECISION
        )  # fmt: skip
        columns = first + tl.arange(0, COLUMNS).to(tl.int64)
        each = tl.zeros((ROWS, COLUMNS), tl.float32)
        if BY_ROWS:
            each += tl.exp(s - own[:, None]) * own_outer[:, None]
        if BY_COLUMNS:
            theirs = tl.load(column_result + columns, mask=columns < m, other=0.0)
            outer = tl.load(column_outer + columns, mask=columns < m, other=0.0)
            each += tl.exp(s - theirs[None, :]) * outer[None, :]
        inside = (columns < m)[:, None] & (part < d)[None, :]
        keys = tl.load(y + columns[:, None] * d + part[None, :], mask=inside, other=0.0)
        total = tl.dot(each.to(OPERAND), keys.to(OPERAND), total, input_precision=PRECISION)
    tl.store(
        gradient + rows[:, None] * d + part[None, :], total * factor, mask=(rows < n)[:, None] & (part < d)[None, :]
    )


INTERPRETED = not isinstance(log_sums, triton.JITFunction)
"""Whether Triton runs on the CPU, for tests, as ``TRITON_INTERPRET=1`` made it when this module was imported."""
