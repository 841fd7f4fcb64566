"""Two processes that split their weights (FSDP2) train as one that has them whole, whoever has no rows, in chunks too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from contrapose import Method
from contrapose.branches.syncnorm import synchronise
from contrapose.testing import assert_ddp_equivalent
from tests.algebra import CASES, FEATURES, WIDTH, batch

COUNT = 9


class Deep(nn.Module):
    """Blocks that are split by themselves, a scalar that can't be, and rows of a weight that two processes don't share evenly."""

    def __init__(self, modality: str, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.modality, self.dims = modality, {"pooled": WIDTH, "dense": WIDTH, "layer3": WIDTH}
        self.first = nn.Linear(FEATURES, 7)
        self.blocks = nn.ModuleList(nn.Sequential(nn.Linear(7, 7), nn.Tanh()) for _ in range(2))
        self.scale = nn.Parameter(torch.tensor(1.3))
        self.last = nn.Linear(7, WIDTH)

    def forward(self, data: Tensor) -> dict[str, Tensor]:
        h = self.first(data)
        for block in self.blocks:
            h = h + self.scale * block(h)
        h = torch.tanh(self.last(h))
        return {"pooled": h.mean(1), "dense": h, "layer3": h[:, 0]}


def method(name: str) -> Method:
    encoders = {m: Deep(m, n) for n, m in enumerate(CASES[name].modalities)}
    torch.manual_seed(0)
    made = Method.from_data(CASES[name].data(), encoders).double()
    made.clock.start(steps_per_epoch=10, epochs=3)
    CASES[name].before(made)
    return made


def check(name: str, missing: Mapping[str, Sequence[int]] | None = None, **how: Any) -> None:
    """Three steps: twins and queues of the first tell in the second."""
    batches = [batch(CASES[name].views, COUNT, seed, missing) for seed in range(3)]
    assert_ddp_equivalent(method(name), batches, split_weights=True, **how)


@pytest.mark.parametrize(
    "name", ["byol", "swav", *(pytest.param(n, marks=pytest.mark.slow) for n in CASES if n not in ("byol", "swav"))]
)
def test_split_weights_change_no_gradient(name: str) -> None:
    check(name)
