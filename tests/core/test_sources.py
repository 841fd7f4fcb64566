"""Sources: what they hold, when they take it in, and that a checkpoint brings it back."""

from __future__ import annotations

import pytest
import torch
from tests.algebra import CASES, Net, batch, prepare, preset
from tests.reference import formulas as ref

from contrapose import Method
from contrapose.draws import keyed_uniform
from contrapose.errors import ConfigError
from contrapose.sources.centroids import density
from contrapose.types import ident

QK = ("pulse/query", "pulse/key")


def moco(size: int) -> Method:
    torch.manual_seed(0)
    head = {"use": "mlp", "hidden": 8, "out": 4, "norm": "none"}
    data = preset("moco-v2", branches={"online": {"projector": head}}, sources={"queue": {"size": size}})
    return Method.from_data(data, {"pulse": Net("pulse")}).double()


def test_a_queue_never_holds_the_current_keys_before_the_loss() -> None:
    method = moco(16)
    for seed in range(3):
        data = batch(QK, 5, seed)
        out = method.loss(data)
        tables = method.encode(data)
        queue = method.sources["queue"]
        stored = queue.get_buffer("z")[: int(queue.filled)] if seed else torch.zeros(0, 4, dtype=torch.float64)
        wanted = ref.moco(tables["online"].z, tables["key"].z, stored, 0.2)
        torch.testing.assert_close(out.loss, wanted, rtol=1e-10, atol=1e-12)
        method.advance()


def test_an_empty_queue_gives_zero_loss() -> None:
    assert moco(16).loss(batch(QK, 5)).loss.abs() < 1e-12


@pytest.mark.parametrize(("size", "count"), [(16, 5), (5, 5), (7, 3), (4, 9)])
def test_a_queue_wraps_around_and_keeps_the_last_rows(size: int, count: int) -> None:
    method, seen = moco(size), []
    for seed in range(6):
        data = batch(QK, count, seed)
        method.loss(data)
        method.advance()
        seen += data.sample.sort().values.tolist()  # one view: rows enter in the order of samples
        queue = method.sources["queue"]
        held = queue.get_buffer("column sample")[: int(queue.filled)].tolist()
        assert sorted(held) == sorted(seen[-size:])


@pytest.mark.parametrize("name", ["moco-v2", "swav", "dino", "pcl", "densecl", "paco"])
def test_state_survives_a_checkpoint(name: str) -> None:
    case = CASES[name]
    method, data = prepare(case)
    again = case.method()
    missing, unexpected = again.load_state_dict(method.state_dict())
    assert not missing
    assert not unexpected
    for key, value in method.state_dict().items():
        assert torch.equal(again.state_dict()[key], value), key
    assert torch.equal(again.loss(data).loss, method.loss(data).loss)


def test_keyed_draws_depend_on_their_keys_alone_and_are_uniform() -> None:
    keys = torch.arange(5000)
    u = keyed_uniform(keys, 4, 1, 2)
    assert torch.equal(u[[17, 3]], keyed_uniform(keys[[17, 3]], 4, 1, 2))
    assert not torch.equal(u, keyed_uniform(keys, 4, 1, 3))
    assert ((u >= 0) & (u < 1)).all()
    counts = torch.histc(u, 20, 0, 1)
    assert ((counts - 1000).abs() < 5 * 1000**0.5).all()
    assert torch.corrcoef(u.T).fill_diagonal_(0).abs().max() < 0.06


def test_densities_are_the_papers() -> None:
    g = torch.Generator().manual_seed(0)
    z = torch.nn.functional.normalize(torch.randn(60, 4, generator=g, dtype=torch.float64), dim=1)
    centres = torch.nn.functional.normalize(z[:6], dim=1)
    assigned = (z @ centres.T).argmax(1)
    torch.testing.assert_close(density(z, centres, assigned, 0.2), ref.pcl_density(z, centres, assigned, 0.2))


def test_stored_rows_keep_their_labels_and_change_their_origin() -> None:
    method = moco(16)
    data = batch(QK, 5)
    method.loss(data)
    method.advance()
    queue = method.sources["queue"]
    assert torch.equal(queue.get_buffer("column label")[:5], data.meta["label"][data.sample.argsort()])
    out = method.loss(batch(QK, 5, 1))
    assert out.loss > 0
    assert set(queue.rows(method._out).meta["origin"].tolist()) == {ident("queue")}


def test_a_mean_by_a_column_that_no_row_has_offers_none_of_the_cores_own() -> None:
    """Rows have ``has:span``, whether a sample has views of the branch: nobody could name it."""
    data = {
        "branches": {"span": {"views": "*"}},
        "sources": {"centre": {"use": "mean", "of": "span/key", "by": "span"}},
        "terms": {"it": {"query": "span/query", "keys": ["centre"]}},
    }
    method = Method.from_data(data, {"pulse": Net("pulse")}).double()
    with pytest.raises(ConfigError, match="no column 'span' in span/key, which its views or meta must bring") as error:
        method.loss(batch(QK, 5))
    assert "has:" not in error.value.message
    assert error.value.path == ("method", "sources", "centre", "by")
