"""From the hidden states of a text's tokens to one vector, whatever fills up the row."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

Pooling = Literal["cls", "mean", "max", "first-last", "last-two"]

LAYERS: dict[str, int] = {"first-last": 0, "last-two": -2}
"""Which layer some poolings average with the last one."""


def pool(last: Tensor, mask: Tensor, how: Pooling, other: Tensor | None = None) -> Tensor:
    """Pool the hidden states of the ``last`` layer (n, L, D) where ``mask`` (n, L) bool is true, to (n, D).

    ``cls`` is the first token, ``mean`` and ``max`` are over the tokens, ``first-last`` is the mean over the tokens of the mean
    of the first layer (``other``) and the last (SimCSE, Gao et al., 2021, section 3), ``last-two`` of the last but one
    (``other``) and the last (ConSERT, Yan et al., 2021, section 4.1).
    """
    if how == "cls":
        return last[:, 0]
    outside = ~mask[:, :, None]
    if how == "max":
        return last.masked_fill(outside, -torch.inf).amax(dim=1)
    if how in LAYERS:
        assert other is not None
        last = (other + last) / 2
    return last.masked_fill(outside, 0).sum(dim=1) / mask.sum(dim=1, keepdim=True)


def by_length(mask: Tensor) -> list[tuple[Tensor, int]]:
    """The rows of ``mask`` (n, L) bool in groups of like length: (rows int64, columns that hold all of their tokens).

    The lengths of a group lie between two powers of two, from 4 on, and it is as wide as its longest row. Most of a batch of short
    texts is filling, and this leaves it out.
    """
    places = torch.arange(1, mask.shape[1] + 1, device=mask.device)
    groups: dict[int, list[tuple[int, int]]] = {}
    for row, last in enumerate((mask * places).amax(dim=1).tolist()):
        groups.setdefault(max(2, (last - 1).bit_length()), []).append((row, max(1, last)))
    made = []
    for _, members in sorted(groups.items()):
        rows, lengths = zip(*members, strict=True)
        made.append((torch.tensor(rows, device=mask.device), max(lengths)))
    return made
