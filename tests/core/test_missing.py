"""Missing modalities, empty batches and lone rows: nothing leaks, nothing breaks."""

from __future__ import annotations

import pytest
import torch
from tests.algebra import CASES, Net, batch, gradients
from torch import nn

from contrapose import Method
from contrapose.types import Batch

CROSSED = ["clip", "siglip", "gram"]


def grown(views: tuple[str, ...], gone: str) -> tuple[Batch, Batch]:
    """Seven whole samples, and the same with five more that lack a modality."""
    whole = batch(views, 12, seed=1, missing={gone: range(7, 12)})
    return whole.take(torch.arange(7)), whole


@pytest.mark.parametrize("name", CROSSED)
def test_rows_that_lack_a_modality_change_nothing(name: str) -> None:
    case = CASES[name]
    method = case.method()
    few, more = grown(case.views, case.modalities[1])
    a, b = method.loss(few), method.loss(more)
    torch.testing.assert_close(a.loss, b.loss, rtol=1e-12, atol=1e-12)
    wanted, found = gradients(method, a.loss), gradients(method, b.loss)
    for p, grad in wanted.items():
        torch.testing.assert_close(found[p], grad, rtol=1e-10, atol=1e-12)


def test_the_other_terms_of_a_pair_graph_are_unchanged_too() -> None:
    from contrapose import registry

    data = registry().load("method", "pair-graph")(
        pairs=[["text", "text"], ["text", "video"], ["video", "sound"]], out=4
    )
    data["branches"] = {n: b | {"projector": {"use": "linear", "out": 4}} for n, b in data["branches"].items()}
    method = Method.from_data(data, {m: Net(m, n) for n, m in enumerate(("text", "video", "sound"))}).double()
    few, more = grown(("text/0", "text/1", "video/0", "sound/0"), "sound")
    a, b = method.loss(few), method.loss(more)
    assert not torch.equal(a.terms["text~video"], b.terms["text~video"])  # those rows have text and video
    torch.testing.assert_close(a.terms["video~sound"], b.terms["video~sound"], rtol=1e-12, atol=1e-12)
    assert torch.equal(a.counts["video~sound"], b.counts["video~sound"])


@pytest.mark.parametrize("name", CASES)
def test_no_valid_pair_gives_a_finite_zero_in_the_graph(name: str) -> None:
    case = CASES[name]
    method = case.method()
    nothing = batch(case.views, 4, missing={m: range(4) for m in case.modalities})
    out = method.loss(nothing)
    assert out.loss == 0
    out.loss.backward()
    for n, p in method.named_parameters():
        if p.requires_grad and p.grad is not None:
            assert torch.equal(p.grad, torch.zeros_like(p)), n
    assert any(p.grad is not None for p in method.parameters())
    method.advance()


class Normed(nn.Module):
    """An encoder with BatchNorm, which a lone row breaks."""

    def __init__(self) -> None:
        super().__init__()
        self.modality, self.dims = "pulse", {"pooled": 6}
        self.net = nn.Sequential(nn.Flatten(), nn.Linear(20, 6), nn.BatchNorm1d(6))

    def forward(self, data: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"pooled": self.net(data)}


def test_a_lone_row_is_normalised_by_the_running_statistics() -> None:
    branch = {"views": "*", "projector": {"use": "mlp", "out": 4}, "together": False}
    term = {"query": "online", "keys": ["online"]}
    method = Method.from_data({"branches": {"online": branch}, "terms": {"t": term}}, {"pulse": Normed()}).double()
    before = {k: v.clone() for k, v in method.state_dict().items()}
    out = method.loss(batch(("pulse/a", "pulse/b"), 1))
    assert out.loss.isfinite()
    assert all(torch.equal(v, before[k]) for k, v in method.state_dict().items())
    assert all(m.training for m in method.modules())
