"""A text encoder small enough for float64 references, and batches of DeCLUTR's spans for it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from contrapose import Batch, Method, ViewBatch
from contrapose.plugins import registry
from contrapose_text.masking import NONE, states_at

VOCABULARY, WIDTH, LENGTH = 11, 6, 8
SPANS = {
    f"text/{kind}_{a}{p}": a for a in (0, 1) for kind, p in (("anchor", ""), ("positive", "_0"), ("positive", "_1"))
}


class Tokens(nn.Module):
    """``ids`` and ``mask`` (n, L) to ``pooled`` (n, D), and ``masked`` (n, P, D): a token's state is tanh of its vector."""

    modality = "text"

    def __init__(self) -> None:
        super().__init__()
        self.dims = {"pooled": WIDTH, "masked": WIDTH}
        self.vectors = nn.Parameter(torch.randn(VOCABULARY, WIDTH))

    def forward(self, data: dict[str, Any]) -> dict[str, Tensor]:
        states, mask = torch.tanh(self.vectors[data["ids"]]), data["mask"][:, :, None]
        pooled = (states * mask).sum(1) / mask.sum(1)
        return {"pooled": pooled, "masked": states_at(states, data.get("masked"))}


def declutr(seed: int = 0) -> Method:
    torch.manual_seed(seed)
    data: Any = registry().load("method", "text/declutr")
    return Method.from_data(data, {"text": Tokens()}, facts={"text": {"vocabulary": VOCABULARY}}).double()


def spans(count: int = 5, seed: int = 0, missing: Any = ()) -> Batch:
    """Anchors with masked tokens, some with none, more in one view than in the other; ``missing`` samples lack the last view."""
    draw = torch.Generator().manual_seed(seed)
    views = {}
    for n, (name, anchor) in enumerate(SPANS.items()):
        mask = torch.arange(LENGTH) < torch.randint(2, LENGTH + 1, (count, 1), generator=draw)
        data: dict[str, Any] = {"ids": torch.randint(VOCABULARY, (count, LENGTH), generator=draw), "mask": mask}
        if "anchor" in name:
            most = 2 + anchor
            place = torch.rand(count, LENGTH, generator=draw).argsort(1)[:, :most].sort(1).values
            token = torch.randint(VOCABULARY, (count, most), generator=draw)
            few = torch.arange(most) >= torch.randint(most + 1, (count, 1), generator=draw)
            data["masked"] = {"place": place.masked_fill(few, NONE), "token": token.masked_fill(few, NONE)}
        gone = missing if n == len(SPANS) - 1 else ()
        index = torch.tensor([i for i in range(count) if i not in gone], dtype=torch.int64)
        rows = _take(data, index) if len(index) else None
        views[name] = ViewBatch(rows, "text", index, {"span": torch.full((len(index),), anchor)})
    return Batch(100 * seed + torch.randperm(count, generator=draw), views)


def _take(data: Any, index: Tensor) -> Any:
    return {k: _take(v, index) for k, v in data.items()} if isinstance(data, dict) else data[index]
