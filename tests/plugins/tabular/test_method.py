"""The preset is SCARF's loss, in float64 against the reference and the golden value of the method sheet."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from tests.algebra import Net, batch, gradients, merge
from tests.reference import formulas as ref
from torch import Tensor, nn

from contrapose import Batch, Method, ViewBatch
from contrapose.losses.engine import Engine
from contrapose.plugins import registry
from contrapose.types import ident


def preset(**changes: Any) -> dict[str, Any]:
    return merge(registry().load("method", "tabular/scarf"), changes)  # type: ignore[no-any-return]


class AsItIs(nn.Module):
    modality = "pulse"

    def __init__(self, width: int) -> None:
        super().__init__()
        self.dims = {"pooled": width}
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, data: Tensor) -> dict[str, Tensor]:
        return {"pooled": data * self.scale}


def test_the_golden_value() -> None:
    """SCARF's algorithm 1 has the mean of the B in its denominator: InfoNCE less log B."""
    i = torch.arange(1, 13, dtype=torch.float64).reshape(4, 3)
    index = torch.arange(4)
    views = {"pulse/anchor": ViewBatch(i.sin(), "pulse", index), "pulse/corrupted": ViewBatch(i.cos(), "pulse", index)}
    data = preset(branches={"online": {"projector": None}})
    loss = Method.from_data(data, {"pulse": AsItIs(3)}).double().loss(Batch(index, views)).loss
    assert loss.dtype == torch.float64
    assert loss.item() - math.log(4) == pytest.approx(0.043936121, abs=1e-9)


@pytest.mark.parametrize("tile", [None, 3])
def test_value_and_gradient(tile: int | None) -> None:
    torch.manual_seed(0)
    head = {"hidden": 8, "out": 4}
    method = Method.from_data(preset(branches={"online": {"projector": head}}), {"pulse": Net("pulse")}).double()
    method.engine = Engine("dense") if tile is None else Engine("tiled", tile)
    given = batch(["pulse/anchor", "pulse/corrupted"], 9)
    tables = method.encode(given)
    online = {
        v: tables[f"online/{v}"] if f"online/{v}" in tables else tables["online"] for v in ("anchor", "corrupted")
    }
    z = {v: rows.z[rows.meta["view"] == ident(f"pulse/{v}")] for v, rows in online.items()}
    expected = ref.scarf(ref.unit(z["anchor"]), ref.unit(z["corrupted"])) + math.log(9)
    found = method.loss(given).loss
    torch.testing.assert_close(found, expected, atol=1e-10, rtol=0)
    wanted = gradients(method, expected)
    for name, gradient in gradients(method, found).items():
        torch.testing.assert_close(gradient, wanted[name], atol=1e-10, rtol=0, msg=name)
    # Each row has itself among B keys; with the 2B - 2 negatives of NT-Xent it would be another loss.
    assert abs(found - ref.nt_xent(ref.unit(z["anchor"]), ref.unit(z["corrupted"]), 1.0)) > 0.1
    assert abs(found - ref.info_nce(ref.unit(z["corrupted"]), ref.unit(z["anchor"]), 1.0)) > 1e-6


def test_the_head_is_the_papers() -> None:
    data = preset()
    assert data["branches"]["online"]["projector"] == {"use": "mlp", "hidden": 256, "out": 256, "norm": "none"}
    method = Method.from_data(data, {"pulse": Net("pulse")})
    assert [m.out_features for m in method.towers.projectors["online"].modules() if isinstance(m, nn.Linear)] == [
        256,
        256,
    ]
