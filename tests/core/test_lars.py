"""LARS against the formula of MoCo v3's and BYOL's code, in float64."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from contrapose.engine.optim import load_optimizer_tensors, make_optimizer, optimizer_tensors


def reference(p: Tensor, grads: list[Tensor], lr: float, decay: float, momentum: float, trust: float) -> Tensor:
    """``moco/optimizer.py`` of MoCo v3: weights that are scaled where they have more than one dimension."""
    p, kept = p.clone(), torch.zeros_like(p)
    for grad in grads:
        change = grad.clone()
        if p.ndim > 1:
            change = change + decay * p
            long, steep = torch.norm(p), torch.norm(change)
            one = torch.ones_like(long)
            change = change * torch.where(long > 0.0, torch.where(steep > 0, trust * long / steep, one), one)
        kept = kept * momentum + change
        p = p - lr * kept
    return p


@pytest.mark.parametrize("shape", [(5, 3), (4, 2, 3, 3), (6,), ()])
@pytest.mark.parametrize("nothing", [False, True])
def test_steps_are_the_papers(shape: tuple[int, ...], nothing: bool) -> None:
    torch.manual_seed(0)
    start = torch.zeros(shape, dtype=torch.float64) if nothing else torch.randn(shape, dtype=torch.float64)
    grads = [torch.randn(shape, dtype=torch.float64) for _ in range(4)]
    p = nn.Parameter(start.clone())
    decay = 0.1 if p.ndim > 1 else 0.0
    optimizer = make_optimizer({"use": "lars", "momentum": 0.8}, [{"params": [p], "weight_decay": decay}], 0.5)
    for grad in grads:
        p.grad = grad.clone()
        optimizer.step()
    torch.testing.assert_close(p.detach(), reference(start, grads, 0.5, decay, 0.8, 0.001))


def test_vectors_may_have_a_rate_of_their_own() -> None:
    vector, matrix = (nn.Parameter(torch.ones(shape, dtype=torch.float64)) for shape in ((3,), (3, 3)))
    optimizer = make_optimizer({"use": "lars", "vector_lr": 0.1, "trust": 1.0}, [{"params": [vector, matrix]}], 0.5)
    for p in (vector, matrix):
        p.grad = torch.ones_like(p)
    optimizer.step()
    torch.testing.assert_close(vector.detach(), torch.full((3,), 0.95, dtype=torch.float64))
    torch.testing.assert_close(matrix.detach(), torch.full((3, 3), 0.5, dtype=torch.float64))


def test_its_state_comes_back() -> None:
    torch.manual_seed(0)
    nets = nn.Linear(3, 2), nn.Linear(3, 2)
    nets[1].load_state_dict(nets[0].state_dict())
    ours, other = (make_optimizer("lars", [{"params": [*net.parameters()]}], 0.1) for net in nets)

    def step(net: nn.Module, optimizer: torch.optim.Optimizer, seed: int) -> None:
        for i, p in enumerate(net.parameters()):
            p.grad = torch.randn(p.shape, generator=torch.Generator().manual_seed(seed + i))
        optimizer.step()

    step(nets[0], ours, 0)
    nets[1].load_state_dict(nets[0].state_dict())
    saved = {name: tensor.clone() for name, tensor in optimizer_tensors(ours, nets[0]).items()}
    load_optimizer_tensors(other, nets[1], saved)
    for net, optimizer in zip(nets, (ours, other), strict=True):
        step(net, optimizer, 10)
    assert all(torch.equal(a, b) for a, b in zip(nets[0].parameters(), nets[1].parameters(), strict=True))
