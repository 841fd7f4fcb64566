"""Methods in odd company: low precision, copies, terms in any order, columns of any name, and configs that are wrong."""

from __future__ import annotations

import copy
import itertools
import pickle
from typing import Any

import pytest
import torch
from tests.algebra import CASES, HEAD, Net, batch, gradients, prepare, preset

from contrapose import Method
from contrapose.errors import ConfigError
from contrapose.types import Batch

TWO = ("pulse/a", "pulse/b")


@pytest.mark.parametrize("name", CASES)
def test_bf16_embeddings_are_scored_in_fp32(name: str) -> None:
    method, data = prepare(CASES[name])
    wanted = method.loss(data).loss
    method = method.float()
    data = Batch(
        data.sample, {n: type(v)(v.data.float(), v.modality, v.index, v.meta) for n, v in data.views.items()}, data.meta
    )
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = method.loss(data)
    assert out.loss.dtype == torch.float32
    torch.testing.assert_close(out.loss.double(), wanted, rtol=0.1, atol=0.1)
    out.loss.backward()
    method.advance()
    stored = [b for n, b in method.named_buffers() if n.endswith(".z")]
    assert all(b.dtype != torch.bfloat16 for b in stored)


def test_terms_in_any_order_give_the_same_gradients() -> None:
    """A relation that works without gradient must not take the graph from the terms that follow it."""
    swav = preset(
        "swav", branches={"online": {"projector": HEAD}}, sources={"prototypes": {"count": 9, "frozen": None}}
    )
    dense = {"query": "online/global_*", "keys": ["online/global_*"]}
    terms = {**swav["terms"], "nce": dense}
    views = ("pulse/global_0", "pulse/global_1", "pulse/local_0")
    found = []
    for order in itertools.permutations(terms):
        torch.manual_seed(0)
        method = Method.from_data(swav | {"terms": {n: terms[n] for n in order}}, {"pulse": Net("pulse")}).double()
        found.append(gradients(method, method.loss(batch(views)).loss))
    for name, grad in found[0].items():
        torch.testing.assert_close(found[1][name], grad)
    assert found[0]["towers.encoders.pulse.weight"].abs().max() > 0


@pytest.mark.parametrize("name", ["clip", "moco-v2", "dino"])
def test_a_copy_is_its_own(name: str) -> None:
    method, data = prepare(CASES[name])
    for other in (copy.deepcopy(method), pickle.loads(pickle.dumps(method))):
        other.loss(data).loss.backward()
        assert all(p.grad is None for p in method.parameters())
        assert any(p.grad is not None for p in other.parameters())


def test_a_column_of_the_data_never_takes_the_place_of_an_identity() -> None:
    method, data = prepare(CASES["simclr"])
    wanted = method.loss(data).loss
    data.meta = {**data.meta, "view": torch.zeros_like(data.sample), "sample": torch.zeros_like(data.sample)}
    assert torch.equal(method.loss(data).loss, wanted)


def test_what_is_frozen_stands_still() -> None:
    class Normed(Net):
        def __init__(self) -> None:
            super().__init__("pulse")
            self.norm = torch.nn.BatchNorm1d(6)

        def forward(self, data: torch.Tensor) -> dict[str, torch.Tensor]:
            return {tap: self.norm(z) if z.ndim == 2 else z for tap, z in super().forward(data).items()}

    data = {
        "branches": {"online": {"views": "a"}, "still": {"views": "b", "of": "online", "weights": "frozen"}},
        "terms": {"t": {"query": "online", "keys": ["still"], "positives": "same(sample)", "denominator": "all"}},
    }
    method = Method.from_data(data, {"pulse": Normed()}).double().train()
    before = {k: v.clone() for k, v in method.towers.twins.state_dict().items()}
    method.loss(batch(TWO)).loss.backward()
    method.advance()
    assert all(torch.equal(v, before[k]) for k, v in method.towers.twins.state_dict().items())


def test_a_shared_projector_runs_once() -> None:
    head = torch.nn.Sequential(torch.nn.Linear(6, 4), torch.nn.BatchNorm1d(4))
    data = {
        "branches": {
            "online": {"views": "*", "projector": head, "predictor": HEAD, "together": False},
            "target": {"views": "*", "of": "online", "grad": False, "together": False},
        },
        "terms": {
            "t": {
                "query": "online",
                "keys": ["target"],
                "positives": "same(sample) and not same(view)",
                "loss": "cosine",
            }
        },
    }
    method = Method.from_data(data, {"pulse": Net("pulse")}).double()
    method.loss(batch(TWO))
    assert int(head[1].num_batches_tracked) == 2  # one pass a view, for both branches


def test_keys_that_are_not_there_yet_leave_a_graph() -> None:
    moco = preset("moco-v2", branches={"online": {"projector": HEAD}}, sources={"queue": {"size": 16}})
    moco["terms"]["info_nce"]["keys"] = ["queue"]
    method = Method.from_data(moco, {"pulse": Net("pulse")}).double()
    out = method.loss(batch(("pulse/query", "pulse/key")))
    assert out.loss == 0
    out.loss.backward()


TERM: dict[str, Any] = {"query": "online", "keys": ["online"]}
BASE: dict[str, Any] = {"branches": {"online": {"views": "*"}}, "terms": {"t": TERM}}
WRONG: list[tuple[dict[str, Any], str]] = [
    ({"trems": {}}, "unknown key 'trems'.*did you mean 'terms'"),
    ({"terms": {"t": TERM | {"qurey": "online"}}}, "'qurey'.*did you mean 'query'"),
    ({"terms": {"t": TERM | {"query": "onlin"}}}, "no branch or source 'onlin'; did you mean 'online'"),
    ({"terms": {"t": TERM | {"query": "online.poled"}}}, "no part 'poled'.*did you mean 'pooled'"),
    ({"terms": {"t": TERM | {"query": 5}}}, "expected text or a list, got 5"),
    ({"terms": {"t": TERM | {"keys": []}}}, "needs keys"),
    ({"terms": {"t": TERM | {"keys": [{"rows": "online", "tau": 0}]}}}, "positive"),
    ({"terms": {"t": TERM | {"loss": "ncee"}}}, "did you mean 'nce'"),
    ({"terms": {"t": TERM | {"loss": {"use": "nce", "denominator": "some"}}}}, "expected one of 'all'"),
    ({"terms": {"t": TERM | {"tau": -1}}}, "positive"),
    ({"terms": {"t": TERM | {"tau": None}}}, "expected a number, got null"),
    ({"terms": {"t": TERM | {"tau": {"linear": 3}}}}, "a schedule is"),
    ({"terms": {"t": TERM | {"tau": "warm"}}}, "no temperature 'warm'"),
    ({"terms": {"t": TERM | {"weight": {"cosin": [0, 1]}}}}, "a schedule is"),
    ({"terms": {"t": TERM | {"similarity": "dott"}}}, "did you mean 'dot'"),
    ({"terms": {"t": TERM | {"positives": "sam(sample)"}}}, "did you mean 'same'"),
    ({"terms": {"t": TERM | {"positives": {"same(sample)": -1}}}}, "at least 0"),
    ({"terms": {"t": TERM | {"positives": "origin(kee)"}}}, "origin\\(kee\\)"),
    ({"terms": {"t": TERM | {"denominator": "has(nobody)"}}}, "has\\(nobody\\)"),
    (
        {"terms": {"t": TERM | {"positives": {"assign": {"use": "match", "query": "online", "key": "online"}}}}},
        "no assigner",
    ),
    ({"terms": {"t": TERM | {"attract": {"use": "match", "query": "online", "key": "online"}}}}, "no weigher"),
    ({"terms": {"t": {"query": "online", "loss": "vicreg"}}}, "2 tables"),
    ({"branches": {"online": {"views": "*", "weights": "emma"}}}, "did you mean 'ema'"),
    ({"branches": {"online": {"views": "*", "of": "nobody"}}}, "no branch 'nobody'"),
    ({"branches": {"online": {"views": "*", "weights": "ema"}}}, "name it with of"),
    ({"branches": {"online": {"views": "*", "grad": "no"}}}, "expected true or false"),
    ({"branches": {"online": {"views": "*", "momentum": 1.5}}}, "between 0 and 1"),
    ({"branches": {"online": {"views": "*", "tap": "pool"}}}, "no tap 'pool'"),
    ({"branches": {"online": {"views": "sound/*"}}}, "have no encoder"),
    ({"sources": {"q": {"use": "queue", "of": "onlin"}}}, "did you mean 'online'"),
    ({"sources": {"q": {"use": "queue", "of": "online", "start": {"epoch": 3}}}}, "expected \\{epochs: n\\}"),
    ({"sources": {"q": {"use": "queue", "of": "online", "size": 0}}}, "at least 1"),
    ({"sources": {"e": {"use": "ema", "of": "online"}}}, "learnt vectors"),
    ({"sources": {"a": {"use": "mean", "of": "b"}, "b": {"use": "mean", "of": "a"}}}, "made of each other"),
    (
        {
            "sources": {"c": {"use": "centroids", "of": "online", "counts": [2]}},
            "terms": {"t": TERM | {"keys": ["c.7"]}},
        },
        "no level '7'",
    ),
]


@pytest.mark.parametrize(("changes", "says"), WRONG, ids=[says for _, says in WRONG])
def test_a_wrong_config_is_one_clear_error(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        Method.from_data({**BASE, **changes}, {"pulse": Net("pulse")})
    assert caught.value.path[:1] == ("method",)


@pytest.mark.parametrize(
    ("term", "says"),
    [
        ({"positives": "same(lable)"}, "'lable'.*did you mean 'label'"),
        ({"positives": "view(qury)"}, "no view is like"),
        ({"keys": ["online/nosuch"]}, "no view is like 'nosuch'"),
    ],
)
def test_what_only_the_data_can_tell_is_said_at_the_first_step(term: dict[str, Any], says: str) -> None:
    method = Method.from_data({**BASE, "terms": {"t": TERM | term}}, {"pulse": Net("pulse")}).double()
    with pytest.raises(ConfigError, match=says) as caught:
        method.loss(batch(TWO))
    assert caught.value.path == ("method", "terms", "t")


def test_a_schedule_without_a_length_says_what_to_call() -> None:
    byol = preset("byol", branches={"online": {"projector": HEAD, "predictor": HEAD}})
    method = Method.from_data(byol, {"pulse": Net("pulse")}).double()
    method.loss(batch(TWO))
    with pytest.raises(ConfigError, match=r"clock\.start"):
        method.advance()
