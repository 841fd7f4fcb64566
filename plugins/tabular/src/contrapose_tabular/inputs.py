"""What encoders are made of that take rows: embedded categories, and rows that are mixed after they are embedded."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from contrapose_tabular.schema import FIRST, Schema


def mixed(data: Mapping[str, Tensor], embed: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """What ``embed`` makes of ``numeric`` (n, F) and ``categories`` (n, C): (n, ...).

    Where the rows are to be mixed with others (``tabular/saint``), ``share`` (n,) of it and the rest of what it makes of those.
    """
    made = embed(data["numeric"], data["categories"])
    if "share" not in data:
        return made
    others = embed(data["with_numeric"], data["with_categories"])
    share = data["share"].to(made.dtype).view(-1, *[1] * (made.ndim - 1))
    return share * made + (1 - share) * others


class Categories(nn.Module):
    """Codes (n, C) int64 to vectors (n, C, width), of a table for all columns.

    A column's missing and unseen are entries of its own that start at 0: what training never meets adds nothing.
    """

    offsets: Tensor

    def __init__(self, schema: Schema, width: int) -> None:
        super().__init__()
        sizes = [column.size for column in schema.categorical]
        # The schema makes them again, so a checkpoint needn't hold them.
        self.register_buffer("offsets", torch.tensor([0, *sizes], dtype=torch.int64).cumsum(0)[:-1], persistent=False)
        self.table = nn.Parameter(torch.empty(sum(sizes), width).uniform_(-(width**-0.5), width**-0.5))
        with torch.no_grad():
            for code in range(FIRST):
                self.table[self.offsets + code] = 0

    def forward(self, codes: Tensor) -> Tensor:
        """See the class."""
        return nn.functional.embedding(codes + self.offsets, self.table)


def flat(numeric: Tensor, vectors: Tensor | None) -> Tensor:
    """Numbers (n, F), 0 where missing, masks that are 1 there, and the vectors of categories (n, C, D): (n, 2 F + C D)."""
    missing = numeric.isnan()
    parts = [numeric.masked_fill(missing, 0), missing.to(numeric.dtype)]
    return torch.cat([*parts, *([] if vectors is None else [vectors.flatten(1).to(numeric.dtype)])], 1)
