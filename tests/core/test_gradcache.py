"""GradCache gives the direct step's loss, gradients and memory of a step, for every method."""

from __future__ import annotations

import pytest
import torch
from tests.algebra import CASES, batch, prepare
from torch import Tensor

from contrapose.engine.gradcache import backward_in_chunks
from contrapose.methods.method import Method


def grads(method: Method) -> dict[str, Tensor]:
    """By name; zeros where there is none."""
    named = [(n, p) for n, p in method.named_parameters() if p.requires_grad]
    return {n: torch.zeros_like(p) if p.grad is None else p.grad for n, p in named}


def assert_same(ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> None:
    for name, grad in theirs.items():
        torch.testing.assert_close(ours[name], grad, rtol=0, atol=1e-10, msg=lambda m, n=name: f"{n}: {m}")
    assert any(g.abs().max() > 1e-6 for g in theirs.values())


@pytest.mark.parametrize("chunk", [2, 3, 64])
@pytest.mark.parametrize("name", CASES)
def test_every_method_equals_its_direct_step(name: str, chunk: int) -> None:
    """Its tables row for row, so that what is committed is the same too."""
    direct, data = prepare(CASES[name])
    cached, _ = prepare(CASES[name])
    cached.tile = 3 if chunk == 2 else None
    loss = direct.loss(data).loss
    loss.backward()
    out = backward_in_chunks(cached, data, chunk)
    torch.testing.assert_close(out.loss, loss, rtol=0, atol=1e-10)
    assert_same(grads(cached), grads(direct))
    ours, theirs = cached._out.tables, direct._out.tables
    assert ours.keys() == theirs.keys()
    for ref, rows in theirs.items():
        torch.testing.assert_close(ours[ref].z, rows.z, rtol=0, atol=1e-10)
        assert ours[ref].meta.keys() == rows.meta.keys()
        assert all(torch.equal(ours[ref].meta[c], column) for c, column in rows.meta.items()), ref
