"""The presets in float64: values and gradients against loops written apart from them, and what they are equal to."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from tests.algebra import Net, Step, batch, gradients, merge
from tests.reference import formulas as ref
from torch import Tensor, nn

from contrapose import Method
from contrapose.losses.engine import Engine
from contrapose.plugins import registry
from contrapose.testing import assert_ddp_equivalent
from contrapose.types import Batch

SPANS = {
    f"pulse/{kind}_{a}{p}": a for a in (0, 1) for kind, p in (("anchor", ""), ("positive", "_0"), ("positive", "_1"))
}
ANCHOR, POSITIVE, NEGATIVE = "pulse/anchor", "pulse/positive", "pulse/negative"


def preset(name: str, **changes: Any) -> dict[str, Any]:
    return merge(registry().load("method", f"text/{name}"), changes)  # type: ignore[no-any-return]


def contrastive() -> dict[str, Any]:
    """DeCLUTR without masked language modelling, of which test_mlm.py speaks."""
    data = preset("declutr")
    return {
        **data,
        "branches": {"span": data["branches"]["span"]},
        "terms": {n: t for n, t in data["terms"].items() if n != "mlm"},
    }


def spans(count: int = 5, seed: int = 0) -> Batch:
    made = batch(list(SPANS), count, seed)
    for name, anchor in SPANS.items():
        made.views[name].meta["span"] = torch.full((len(made.views[name]),), anchor)
    return made


def ranked(anchors: Tensor, candidates: Tensor, tau: float) -> Tensor:
    """The mean over i of -log of candidate i's share among all candidates, by loops."""
    a, c = ref.unit(anchors), ref.unit(candidates)
    losses = []
    for i in range(len(a)):
        scores = [(a[i] * c[j]).sum() / tau for j in range(len(c))]
        losses.append(torch.stack(scores).exp().sum().log() - scores[i])
    return torch.stack(losses).mean()


def declutr(anchors: list[Tensor], positives: list[list[Tensor]], tau: float) -> Tensor:
    """DeCLUTR's eqs. 1 to 3 by loops: anchors (A of (n, D)) and A x P positives, their means before any normalisation."""
    first = [a[i] for a in anchors for i in range(len(a))]
    second = [sum(p[i] for p in group) / len(group) for group in positives for i in range(len(group[0]))]
    z = ref.unit(torch.stack([*first, *second]))
    n = len(first)
    losses = []
    for i in range(2 * n):
        scores = {k: (z[i] * z[k]).sum() / tau for k in range(2 * n) if k != i}
        losses.append(torch.stack(list(scores.values())).exp().sum().log() - scores[(i + n) % (2 * n)])
    return torch.stack(losses).mean()


def _declutr(s: Step) -> Tensor:
    anchors = [s.z("span", f"pulse/anchor_{a}") for a in (0, 1)]
    return declutr(anchors, [[s.z("span", f"pulse/positive_{a}_{p}") for p in (0, 1)] for a in (0, 1)], 0.05)


def _triples(s: Step) -> Tensor:
    found = [s.z("candidate", name) for name in (POSITIVE, NEGATIVE)]
    return ranked(s.z("anchor"), torch.cat(found), 0.05)


CASES: dict[str, tuple[dict[str, Any], Any, Any]] = {
    "simcse": (
        preset("simcse"),
        lambda seed: batch(["pulse/a", "pulse/b"], 7, seed),
        lambda s: ranked(s.z("first"), s.z("second"), 0.05),
    ),
    "simcse-supervised": (
        preset("simcse-supervised"),
        lambda seed: batch([ANCHOR, POSITIVE, NEGATIVE], 7, seed),
        _triples,
    ),
    "consert": (
        preset("consert"),
        lambda seed: batch(["pulse/a", "pulse/b"], 7, seed),
        lambda s: ref.nt_xent(ref.unit(s.z("text", "pulse/a")), ref.unit(s.z("text", "pulse/b")), 0.1),
    ),
    "declutr": (contrastive(), lambda seed: spans(5, seed), _declutr),
    "mnrl": (
        preset("mnrl"),
        lambda seed: batch([ANCHOR, POSITIVE], 7, seed),
        lambda s: ranked(s.z("anchor"), s.z("candidate"), 0.05),
    ),
    "mnrl of triples": (
        preset("mnrl", slots=["anchor", "positive", "negative"]),
        lambda seed: batch([ANCHOR, POSITIVE, NEGATIVE], 7, seed),
        _triples,
    ),
    "e5": (
        preset("e5"),
        lambda seed: batch([ANCHOR, POSITIVE], 7, seed),
        lambda s: ranked(s.z("anchor"), s.z("candidate"), 0.01),
    ),
}


def step(name: str, seed: int = 0) -> Step:
    torch.manual_seed(0)
    data, make, _ = CASES[name]
    method = Method.from_data(data, {"pulse": Net("pulse")}).double()
    given = make(seed)
    return Step(method, given, method.encode(given))


@pytest.mark.parametrize("tile", [None, 3])
@pytest.mark.parametrize("name", CASES)
def test_values_and_gradients(name: str, tile: int | None) -> None:
    s = step(name)
    s.method.engine = Engine("dense") if tile is None else Engine("tiled", tile)
    expected, found = CASES[name][2](s), s.method.loss(s.batch).loss
    assert found.dtype == torch.float64
    torch.testing.assert_close(found, expected, atol=1e-10, rtol=0)
    wanted = gradients(s.method, expected)
    assert any(g.abs().max() > 1e-3 for g in wanted.values())
    for parameter, gradient in gradients(s.method, found).items():
        torch.testing.assert_close(gradient, wanted[parameter], atol=1e-10, rtol=0, msg=parameter)


@pytest.mark.parametrize("name", [name for name in CASES if name != "declutr"])
def test_two_processes_equal_one(name: str) -> None:
    """DeCLUTR, whole: test_mlm.py."""
    torch.manual_seed(0)
    data, make, _ = CASES[name]
    assert_ddp_equivalent(Method.from_data(data, {"pulse": Net("pulse")}).double(), [make(0), make(1)])


def test_mnrl_at_a_scale_of_20_is_simcse_at_its_temperature_is_infonce() -> None:
    """The method sheet's identity, on equal weights; E5's is another temperature of it."""
    both = [ANCHOR, POSITIVE]
    given = batch(both, 7)
    renamed = Batch(given.sample, dict(zip(["pulse/a", "pulse/b"], given.views.values(), strict=True)), given.meta)
    bare = preset("simcse", branches={"first": {"projector": None}})
    losses = [
        Method.from_data(preset("mnrl"), {"pulse": Net("pulse")}).double().loss(given).loss,
        Method.from_data(bare, {"pulse": Net("pulse")}).double().loss(renamed).loss,
        Method.from_data(preset("e5", terms={"info_nce": {"tau": 1 / 20}}), {"pulse": Net("pulse")}).loss(given).loss,
    ]
    net = Net("pulse")
    a, b = (ref.unit(net(given.views[name].data)["pooled"]) for name in both)
    for loss in losses:
        torch.testing.assert_close(loss, ref.info_nce(a, b, 1 / 20), atol=1e-10, rtol=0)


def test_a_triple_without_its_hard_negative_leaves_the_others_theirs() -> None:
    given = batch([ANCHOR, POSITIVE, NEGATIVE], 6)
    negative = given.views[NEGATIVE]
    negative.data, negative.index = negative.data[1:], negative.index[1:]
    torch.manual_seed(0)
    method = Method.from_data(preset("simcse-supervised"), {"pulse": Net("pulse")}).double()
    s = Step(method, given, method.encode(given))
    torch.testing.assert_close(method.loss(given).loss, _triples(s), atol=1e-10, rtol=0)
    assert len(s.z("candidate")) == 11


def test_hard_negatives_count_for_every_anchor() -> None:
    with_them, without = step("mnrl of triples"), step("mnrl")
    a, p = (with_them.z(table, view) for table, view in (("anchor", ANCHOR), ("candidate", POSITIVE)))
    assert with_them.method.loss(with_them.batch).loss > ranked(a, p, 0.05) + 0.1
    assert without.method.terms["info_nce"].tau == 1 / 20


def test_spans_of_one_document_are_each_others_negatives() -> None:
    """A batch of one document has a loss: its two anchors."""
    torch.manual_seed(0)
    method = Method.from_data(contrastive(), {"pulse": Net("pulse")}).double()
    one = spans(1)
    assert method.loss(one).loss > 0
    lone = {n: v for n, v in one.views.items() if SPANS[n] == 0}
    empty = {n: type(v)(None, "pulse", v.index[:0], {"span": v.meta["span"][:0]}) for n, v in one.views.items()}
    only = Batch(one.sample, {**empty, **lone})
    assert method.loss(only).loss.item() == pytest.approx(0, abs=1e-12), "one pair, and nothing else in its denominator"


def test_the_pooler_is_berts() -> None:
    head = step("simcse").method.towers.projectors["first"]
    x = torch.randn(4, 6, dtype=torch.float64)
    torch.testing.assert_close(head(x), torch.tanh(x @ head.layer.weight.T + head.layer.bias))
    assert math.prod(head.layer.weight.shape) == 36


@pytest.mark.reference
@pytest.mark.parametrize("hard", [False, True])
def test_mnrl_is_sentence_transformers(hard: bool) -> None:
    losses = pytest.importorskip("sentence_transformers.losses", reason="sentence-transformers isn't installed")
    s = step("mnrl of triples" if hard else "mnrl")
    tables = [s.z("anchor", ANCHOR), s.z("candidate", POSITIVE), *([s.z("candidate", NEGATIVE)] if hard else [])]

    class Given(nn.Module):
        """A model that has its embeddings already."""

        def forward(self, features: dict[str, Tensor]) -> dict[str, Tensor]:
            return {"sentence_embedding": features["z"]}

    theirs = losses.MultipleNegativesRankingLoss(Given())
    expected = theirs([{"z": z} for z in tables], torch.zeros(7))
    torch.testing.assert_close(s.method.loss(s.batch).loss, expected, atol=1e-10, rtol=0)
    wanted = gradients(s.method, expected)
    for name, gradient in gradients(s.method, s.method.loss(s.batch).loss).items():
        torch.testing.assert_close(gradient, wanted[name], atol=1e-10, rtol=0)
