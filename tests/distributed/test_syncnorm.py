"""BatchNorm over two processes is BatchNorm of one on the whole batch: statistics and gradients, whoever has no rows."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from contrapose import ConfigError, Method
from contrapose.branches.syncnorm import SyncNorm, absent, synchronise
from contrapose.methods.gather import total
from contrapose.testing import assert_ddp_equivalent
from contrapose.testing.ranks import ranks
from tests.algebra import CASES, POSITIONS, Net, batch, merge

SPLITS = [(5, 4), (1, 8), (9, 0)]
BATCHED = {"use": "mlp", "hidden": 8, "out": 4, "norm": "batch"}


class Normed(Net):
    """With BatchNorm2d within, over rows and features of each position."""

    def __init__(self, modality: str, seed: int = 0) -> None:
        super().__init__(modality, seed)
        self.norm = nn.BatchNorm2d(POSITIONS, dtype=torch.float64)

    def forward(self, data: Tensor) -> dict[str, Tensor]:
        return super().forward(self.norm(data[..., None])[..., 0])


def method(name: str) -> Method:
    torch.manual_seed(0)
    data = CASES[name].data()
    projectors = {n: {"projector": BATCHED} for n, b in data["branches"].items() if b.get("projector")}
    nets = {m: Normed(m, n) for n, m in enumerate(CASES[name].modalities)}
    made = Method.from_data(merge(data, {"branches": projectors}), nets).double()
    made.clock.start(steps_per_epoch=10, epochs=3)
    synchronise(made.towers)
    assert any(isinstance(m, SyncNorm) for m in made.towers.projectors.modules())
    return made


@pytest.mark.parametrize("split", SPLITS, ids=str)
@pytest.mark.parametrize(
    "name",
    ["byol", *(pytest.param(n, marks=pytest.mark.slow) for n in ("simclr", "moco-v2", "swav", "barlow-twins", "dino"))],
)
def test_two_processes_in_train_mode_equal_one(name: str, split: tuple[int, int]) -> None:
    """Two steps, the twins' norms in train mode too; a rank may have a single sample, or none."""
    assert_ddp_equivalent(method(name), [batch(CASES[name].views, 9, seed) for seed in (0, 1)], split=split)


@pytest.mark.parametrize(
    "gone",
    [{"flat": (4, 5, 6, 7, 8)}, {"flow": (0, 1, 2, 3), "flat": (1, 2, 3, 4, 5, 6, 7, 8)}, {"flat": range(9)}],
    ids=str,
)
@pytest.mark.parametrize("name", ["crosspoint", pytest.param("cmc", marks=pytest.mark.slow)])
def test_a_rank_without_a_modality_changes_nothing(name: str, gone: dict[str, Sequence[int]]) -> None:
    """One rank has none of it; one has a single row and the other none; nobody has any."""
    views = CASES[name].views
    kinds = {v.partition("/")[0] for v in views}
    assert_ddp_equivalent(method(name), batch(views, 9, 0, {m: rows for m, rows in gone.items() if m in kinds}))


def _through(norm: SyncNorm, x: Tensor, weight: Tensor) -> tuple[dict[str, Tensor], Tensor, Tensor]:
    x = x.clone().requires_grad_()
    if len(x):
        loss = (norm(x).sin() * weight).sum()
    else:
        with absent(norm):
            loss = norm(torch.full((1, *x.shape[1:]), 7.0, dtype=x.dtype) + x.sum())[:0].sum()
    loss.backward()
    grads = torch.stack([total(p.grad) for p in norm.parameters()])
    return {n: b.clone() for n, b in norm.named_buffers()}, torch.zeros_like(x) if x.grad is None else x.grad, grads


@pytest.mark.parametrize("split", SPLITS, ids=str)
@pytest.mark.parametrize(
    ("plain", "shape"), [(nn.BatchNorm1d, ()), (nn.BatchNorm2d, (3, 2)), (nn.BatchNorm3d, (2, 1, 3))]
)
def test_the_layer_is_torch_s_on_all_rows(plain: Any, shape: tuple[int, ...], split: tuple[int, int]) -> None:
    """Running statistics, the gradient of each row, scale and shift; far from zero, where a sum of squares loses its digits."""
    g = torch.Generator().manual_seed(3)
    x = 1e4 + torch.randn(9, 4, *shape, generator=g, dtype=torch.float64)
    weight = torch.randn(9, 4, *shape, generator=g, dtype=torch.float64)
    one = plain(4, momentum=None, dtype=torch.float64)
    nn.init.normal_(one.weight)
    synced = synchronise(nn.Sequential(copy.deepcopy(one)))[0]
    assert synced.state_dict().keys() == one.state_dict().keys()
    found = ranks(2).do(_through, [(synced, a, b) for a, b in zip(x.split(split), weight.split(split), strict=True)])
    whole = x.clone().requires_grad_()
    (one(whole).sin() * weight).sum().backward()
    torch.testing.assert_close(torch.cat([grad for _, grad, _ in found]), whole.grad, rtol=0, atol=1e-10)
    for buffers, _, grads in found:
        torch.testing.assert_close(grads, torch.stack([p.grad for p in one.parameters()]), rtol=0, atol=1e-10)
        torch.testing.assert_close(buffers, dict(one.named_buffers()), rtol=1e-12, atol=1e-10)


def test_without_other_processes_it_is_batchnorm() -> None:
    one = nn.BatchNorm1d(4)
    synced, x = synchronise(nn.Sequential(copy.deepcopy(one)))[0], torch.randn(5, 4)
    assert torch.equal(one(x), synced(x))
    assert torch.equal(one.running_var, synced.running_var)


class Activated(nn.BatchNorm1d):
    """As some libraries have it, with more in it."""


def test_a_batchnorm_of_one_s_own_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^1\.0 is a Activated, of which only its author knows"):
        synchronise(nn.Sequential(nn.Identity(), nn.Sequential(Activated(3))))
