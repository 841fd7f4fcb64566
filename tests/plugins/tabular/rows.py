"""Rows of numbers and codes in float64, and a network over them, for methods of tables."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from contrapose import Batch, ViewBatch
from contrapose_tabular.schema import Categorical, Numeric, Schema

NUMBERS = Schema(tuple(Numeric(f"n{i}", 0, 1) for i in range(4)))
BOTH = Schema((*NUMBERS.columns[:3], Categorical("c", ("x", "y", "z")), Categorical("d", ("u", "v"))))


class Cellwise(nn.Module):
    """Rows to ``pooled`` (n, width), ``dense`` (n, columns, width) and ``flat``."""

    modality = "tabular"

    def __init__(self, columns: int, width: int = 6) -> None:
        super().__init__()
        self.dims = {"pooled": width, "dense": width, "flat": columns * width}
        self.weight = nn.Parameter(torch.randn(columns, width))
        self.bias = nn.Parameter(torch.randn(columns, width))

    def forward(self, data: dict[str, Tensor]) -> dict[str, Tensor]:
        cells = torch.cat([data["numeric"].nan_to_num(), data["categories"].to(data["numeric"].dtype)], 1)
        dense = torch.tanh(cells[:, :, None] * self.weight + self.bias)
        return {"pooled": dense.mean(1), "dense": dense, "flat": dense.flatten(1)}


def batch(schema: Schema, slots: Sequence[str], count: int = 7, seed: int = 0) -> Batch:
    """Views in float64; about half of the cells of each agree with those of the last, which is clean."""
    draw, views = torch.Generator().manual_seed(seed), {}
    sizes = [column.size for column in schema.categorical]

    def rows() -> dict[str, Tensor]:
        codes = [torch.randint(size, (count, 1), generator=draw) for size in sizes]
        return {
            "numeric": torch.randn(count, len(schema.numeric), generator=draw, dtype=torch.float64),
            "categories": torch.cat(codes, 1) if codes else torch.zeros(count, 0, dtype=torch.int64),
        }

    clean = rows()
    for slot in slots:
        made = rows()
        for part, cells in made.items():
            kept = torch.rand(cells.shape, generator=draw) < 0.5
            made[part] = clean[part] if slot in ("clean", "anchor") else torch.where(kept, clean[part], cells)
        order = torch.randperm(count, generator=draw)  # a view's rows come in an order of their own
        views[f"tabular/{slot}"] = ViewBatch({part: c[order] for part, c in made.items()}, "tabular", order)
    return Batch(100 * seed + torch.randperm(count, generator=draw), views, {})
