"""The stress test of the algebra: each method, written as data, equals its reference in values and gradients."""

from __future__ import annotations

import pytest
import torch
from tests.algebra import CASES, Step, gradients, prepare

from contrapose.losses.engine import Engine


@pytest.mark.parametrize("tile", [None, 3], ids=["dense", "tiled"])
@pytest.mark.parametrize("name", CASES)
def test_method_equals_its_reference(name: str, tile: int | None) -> None:
    case = CASES[name]
    method, data = prepare(case)
    method.engine = Engine("dense") if tile is None else Engine("tiled", tile)
    ours = method.loss(data).loss
    theirs = case.reference(Step(method, data, method.encode(data)))
    torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)
    wanted = gradients(method, theirs)
    for parameter, grad in gradients(method, ours).items():
        torch.testing.assert_close(
            grad, wanted[parameter], rtol=1e-8, atol=1e-10, msg=lambda m, p=parameter: f"{p}: {m}"
        )
    assert any(g.abs().max() > 0 for g in wanted.values())
