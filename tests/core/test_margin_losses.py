"""Set, margin and library losses: golden values through their presets, identities, and what they do with odd rows."""

from __future__ import annotations

import sys
from typing import Any

import pytest
import torch
from tests.algebra import preset
from tests.plain import on, worth
from tests.reference import formulas as ref
from torch import Tensor
from torch.nn import functional as F

from contrapose.errors import ConfigError
from contrapose.losses import metric
from contrapose.losses.maxmargin import MaxMargin
from contrapose.losses.metric import MetricLearning
from contrapose.losses.sets import BarlowTwins, NuclearNorm, VICReg
from contrapose.types import Rows

N = torch.arange(1, 13, dtype=torch.float64).reshape(4, 3)
X, Y = N.sin(), N.cos()
Z1, Z2 = ref.unit(X), ref.unit(Y)
GOLDEN = {
    "simclr": (2.486873384, {"terms": {"nt_xent": {"tau": 0.5}}}),
    "simclr-v2": (2.486873384, {"terms": {"nt_xent": {"tau": 0.5}}}),
    "debiased": (2.532115380, {}),
    "hard": (3.537156916, {}),
    "dcl": (2.399835163, {"terms": {"dcl": {"tau": 0.5}}}),
    "dclw": (2.400818506, {"terms": {"dclw": {"tau": 0.5}}}),
    "vicreg": (33.738021657, {}),
    "barlow-twins": (7.005405196, {"terms": {"identity": {"loss": {"off_diagonal": 0.005}}}}),
    "mmcr": (-1.600992271, {}),
    "mmcl": (0.047598938, {}),
    "byol": (4.089393663, {}),
    "simsiam": ((4.089393663 - 4) / 4, {}),
    "directclr": (1.517073180, {"terms": {"info_nce": {"tau": 0.5}}}),
    "moco-v3": (4 * 0.5 * 1.517073180, {"terms": {"info_nce": {"tau": 0.5, "weight": 2.0}}}),
}


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def rows(z: Tensor) -> Rows:
    return Rows(z, {"sample": torch.arange(len(z))})


@pytest.mark.filterwarnings("ignore:the method only attracts")
@pytest.mark.parametrize("name", GOLDEN)
def test_golden_values_of_the_sheet_through_the_presets(name: str) -> None:
    expected, changes = GOLDEN[name]
    raw = name in ("vicreg", "barlow-twins")
    slots = [f"thing/view_{n}" if name == "mmcr" else f"thing/{s}" for n, s in enumerate("ab")]
    found = worth(preset(name, **changes), dict(zip(slots, (X, Y) if raw else (Z1, Z2), strict=True)))
    assert found.item() == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("count", [2, 5])
def test_mmcr_of_aligned_and_of_collapsed_views(count: int) -> None:
    eye, ones = torch.eye(count, dtype=torch.float64), torch.ones(count, 7, dtype=torch.float64)
    for views, expected in ((eye, -count), (ones, -(count**0.5))):
        found = worth(preset("mmcr"), {f"thing/view_{n}": views for n in range(3)})
        assert found.item() == pytest.approx(expected, abs=1e-12)


def test_set_losses_keep_their_identities() -> None:
    a, b = draw(40, 4), draw(40, 4, seed=1)
    torch.testing.assert_close(VICReg(3.0, 0.0, 0.0)(rows(a), rows(b)), 3 * F.mse_loss(a, b))
    scale, shift = torch.tensor([2.0, 0.5, 3.0, 7.0], dtype=torch.float64), torch.ones(4, dtype=torch.float64)
    barlow = BarlowTwins(eps=0.0)
    torch.testing.assert_close(barlow(rows(a * scale + shift), rows(b)), barlow(rows(a), rows(b)))
    torch.testing.assert_close(BarlowTwins(scale=0.5)(rows(a), rows(b)), 0.5 * BarlowTwins()(rows(a), rows(b)))
    torch.testing.assert_close(NuclearNorm()(rows(a)), -torch.linalg.svdvals(a).sum())


def test_n_pair_is_info_nce_of_raw_rows() -> None:
    data = preset("n-pair")
    one = {**data, "terms": {"n_pair": data["terms"]["n_pair"]}}
    found = worth(one, {"thing/a": X, "thing/b": Y})
    torch.testing.assert_close(found, F.cross_entropy(X @ Y.T, torch.arange(4)))
    torch.testing.assert_close(worth(data, {"thing/a": X, "thing/b": Y}), ref.n_pair(X, Y))


@pytest.mark.parametrize("bound", [None, 0.5])
@pytest.mark.parametrize("count", [2, 3, 12])
def test_one_inverse_gives_every_machine(count: int, bound: float | None) -> None:
    """The weights of all samples at once are those that each gets from a system of its own."""
    x = draw(count, 5)
    found = MaxMargin(sigma=2.0, ridge=0.3, bound=bound)._weights(F.normalize(x, dim=1))
    torch.testing.assert_close(found, ref.mmcl_weights(x, 2.0, 0.3, bound), rtol=1e-9, atol=1e-11)


def test_max_margin_in_fp32_and_of_a_collapse() -> None:
    x, z = draw(256, 64), draw(256, 64, seed=1)
    exact = MaxMargin()(rows(x), rows(z))
    torch.testing.assert_close(MaxMargin()(rows(x.float()), rows(z.float())).double(), exact, rtol=1e-3, atol=1e-4)
    equal = torch.ones(6, 4, requires_grad=True)
    loss = MaxMargin()(rows(equal), rows(equal))
    loss.backward()
    assert loss.abs() < 1e-6
    assert equal.grad is not None
    assert equal.grad.isfinite().all()


@pytest.mark.parametrize(("argument", "value"), [("sigma", 0.0), ("ridge", -1.0), ("bound", 0.0)])
def test_max_margin_refuses_what_makes_no_sense(argument: str, value: float) -> None:
    with pytest.raises(ConfigError, match="is positive") as caught:
        MaxMargin(**{argument: value})
    assert caught.value.path == (argument,)


def library(**loss: Any) -> dict[str, Any]:
    term = {"query": "online", "loss": {"use": "metric-learning", **loss}}
    return {"slots": ["a", "b"], "branches": {"online": {"views": "*"}}, "terms": {"it": term}}


@pytest.mark.reference
def test_the_library_contrasts_the_column_that_it_is_told() -> None:
    pytest.importorskip("pytorch_metric_learning")
    node = {"use": "SupConLoss", "temperature": 0.2}
    z, views = torch.cat([X, Y]), {"thing/a": X, "thing/b": Y}
    for column, ids in (("sample", torch.arange(4)), ("label", torch.arange(4) % 3)):
        found = worth(library(loss=node, same=column), views)
        torch.testing.assert_close(found, ref.supcon_out(z, ids.repeat(2), 0.2), rtol=1e-6, atol=1e-6)


@pytest.mark.reference
def test_rows_whose_label_is_unknown_belong_to_nobody() -> None:
    pytest.importorskip("pytorch_metric_learning")
    data = library(loss={"use": "SupConLoss", "temperature": 0.2}, same="label")
    method, batch = on(data, {"thing/a": X, "thing/b": Y})
    batch.meta["label"] = torch.tensor([0, -1, 0, -1])
    found = method.loss(batch).loss.detach()
    ids = torch.tensor([0, 1, 0, 2, 0, 3, 0, 4])
    torch.testing.assert_close(found, ref.supcon_out(torch.cat([X, Y]), ids, 0.2), rtol=1e-6, atol=1e-6)


@pytest.mark.reference
def test_what_the_library_learns_is_trained() -> None:
    pytest.importorskip("pytorch_metric_learning")
    node = {"use": "ProxyAnchorLoss", "num_classes": 3, "embedding_size": 3}
    method, batch = on(library(loss=node, same="label"), {"thing/a": X, "thing/b": Y})
    method.loss(batch).loss.backward()
    (proxies,) = [p for n, p in method.named_parameters() if "proxies" in n]
    assert proxies.grad is not None
    assert proxies.grad.abs().max() > 0


@pytest.mark.reference
@pytest.mark.parametrize(
    ("node", "says", "path"),
    [
        ("TripletMarginLos", "did you mean 'TripletMarginLoss'", ("loss",)),
        ({"use": "TripletMarginLoss", "margn": 1}, "unexpected keyword argument 'margn'", ("loss",)),
        ({"use": "TripletMarginLoss", "distance": {"use": "Lp"}}, "not 'Lp'", ("loss", "distance")),
        ({"margin": 0.2}, "use: names a class", ("loss",)),
    ],
)
def test_a_wrong_node_of_the_library_is_one_clear_error(node: Any, says: str, path: tuple[str, ...]) -> None:
    pytest.importorskip("pytorch_metric_learning")
    with pytest.raises(ConfigError, match=says) as caught:
        MetricLearning(node)
    assert caught.value.path == path


@pytest.mark.reference
def test_a_column_that_the_rows_lack_is_one_clear_error() -> None:
    pytest.importorskip("pytorch_metric_learning")
    method, batch = on(library(loss="SupConLoss", same="lable"), {"thing/a": X, "thing/b": Y})
    with pytest.raises(ConfigError, match="did you mean 'label'") as caught:
        method.loss(batch)
    assert caught.value.path == ("method", "terms", "it")


def test_without_the_library_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pytorch_metric_learning", None)
    for part in metric.PARTS:
        monkeypatch.delitem(sys.modules, f"pytorch_metric_learning.{part}", raising=False)
    metric._known.cache_clear()
    with pytest.raises(ConfigError, match=r"pip install 'contrapose\[metric-learning\]'"):
        MetricLearning("TripletMarginLoss")
