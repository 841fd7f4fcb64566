"""Two processes that split their weights (FSDP2) train as one that has them whole, whoever has no rows, in chunks too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from contrapose import ConfigError, Method
from contrapose.branches.heads import local
from contrapose.branches.syncnorm import synchronise
from contrapose.engine.shard import shard
from contrapose.testing import assert_ddp_equivalent
from contrapose.testing.ranks import ranks
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


class Turned(nn.Module):
    """(n, P, C) to (n, C, P), and back."""

    def forward(self, x: Tensor) -> Tensor:
        return x.transpose(1, 2)


def method(name: str) -> Method:
    encoders = {m: Deep(m, n) for n, m in enumerate(CASES[name].modalities)}
    torch.manual_seed(0)
    made = Method.from_data(CASES[name].data(), encoders).double()
    made.clock.start(steps_per_epoch=10, epochs=3)
    CASES[name].before(made)
    return made


def check(name: str, missing: Mapping[str, Sequence[int]] | None = None, synced: bool = False, **how: Any) -> None:
    """Two steps: twins and queues of the first tell in the second."""
    batches = [batch(CASES[name].views, COUNT, seed, missing) for seed in (0, 1)]
    made = method(name)
    if synced:
        for encoder in (*made.encoders.values(), *(e for t in made.towers.twins.values() for e in t.encoders.values())):
            encoder.blocks[0][1] = nn.Sequential(Turned(), nn.BatchNorm1d(7), Turned()).double()
        synchronise(made.towers)
    assert_ddp_equivalent(made, batches, split_weights=True, **how)


def listed(names: Sequence[str], fast: Sequence[str]) -> list[Any]:
    return [pytest.param(n, marks=() if n in fast else pytest.mark.slow) for n in names]


@pytest.mark.parametrize("name", listed([*CASES], ["byol", "swav"]))
def test_split_weights_change_no_gradient(name: str) -> None:
    check(name)


@pytest.mark.parametrize("name", listed(["simclr", "moco-v2", "dino", "cpc", "clip"], ["moco-v2"]))
def test_nor_in_chunks_of_which_one_rank_has_more(name: str) -> None:
    check(name, split=(2, 7), chunk_size=2)


NONE_ON = [(0, 1, 2, 3), (4, 5, 6, 7, 8), (1, 5)]
LACKING = [("crosspoint", gone) for gone in (*NONE_ON, tuple(range(9)))]
LACKING += [(name, gone) for name in ("clip", "cmc", "gram", "hub") for gone in NONE_ON]


@pytest.mark.parametrize("chunk", [None, 2])
@pytest.mark.parametrize(
    ("name", "missing"),
    [pytest.param(*p, marks=() if n in (0, 3) else pytest.mark.slow) for n, p in enumerate(LACKING)],
)
def test_nor_where_a_rank_lacks_a_modality(name: str, missing: Sequence[int], chunk: int | None) -> None:
    """The first rank, the second, each a part, or nobody has it."""
    check(name, {"flat": missing, "video": missing}, chunk_size=chunk)


@pytest.mark.parametrize("name", listed(["byol", "simclr", "moco-v2", "crosspoint"], ["byol"]))
@pytest.mark.parametrize("split", [(5, 4), (0, 9)])
def test_with_synchronised_batchnorm(name: str, split: tuple[int, int]) -> None:
    check(name, {"flat": (0, 1, 2, 3)}, synced=True, split=split)


def _held(made: Method) -> list[int]:
    """How many numbers this rank keeps of the trained network's parameters and of its twin's."""
    shard(made, "cpu")
    towers = [made.towers.encoders, made.towers.projectors, made.towers.twins]
    return [sum(local(p).numel() for p in part.parameters()) for part in towers]


def test_each_rank_keeps_a_part_of_weights_and_twins() -> None:
    made = method("moco-v2")
    whole = [sum(p.numel() for p in m.parameters()) for m in (made.encoders, made.towers.projectors, made.towers.twins)]
    for parts in zip(whole, *ranks(2).do(_held, [(made,), (made,)]), strict=True):
        assert max(parts[1:]) < 0.7 * parts[0]


def test_pieces_that_share_a_weight_are_refused() -> None:
    made = method("clip")
    text, image = made.encoders.values()
    image.last = text.last
    with pytest.raises(
        ConfigError, match=r"^encoders\.\w+ and encoders\.\w+ share a parameter, so they can't be split$"
    ):
        shard(made, "cpu")
