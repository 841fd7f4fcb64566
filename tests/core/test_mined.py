"""Methods that mine: false negatives (FNC), and positives by another modality (CoCLR)."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tests.algebra import CASES, CLIPS, TWO, Step, batch, gradients, merge, prepare, preset
from tests.reference import formulas as ref
from tests.small import method_of, second
from torch import Tensor

from contrapose import Method, registry
from contrapose.errors import ConfigError
from contrapose.types import Batch


def fnc(cancel: str, changes: dict[str, Any] | None = None, **kwargs: Any) -> Method:
    return method_of("fnc", TWO, cancel, changes=changes, memory=0, support=0, **kwargs)


@pytest.mark.parametrize("cancel", ["attract", "eliminate"])
def test_without_false_negatives_it_is_nt_xent(cancel: str) -> None:
    s, loss = second(fnc(cancel, above=1.1), TWO)
    torch.testing.assert_close(loss, ref.nt_xent(s.z("online", TWO[0]), s.z("online", TWO[1]), 0.1))


def test_eliminating_all_leaves_nothing_to_tell_apart() -> None:
    _, loss = second(fnc("eliminate", above=-2.0, top=100), TWO)
    assert loss.abs() < 1e-12


def test_what_it_cancels_in_the_cases_is_there() -> None:
    """The algebra's cases have false negatives, limited by their number in the one and by how near they are in the other."""
    found = {}
    for name in ("fnc", "fnc-eliminate"):
        method, data = prepare(CASES[name])
        method.loss(data)
        out = method._out
        assert out is not None
        column = method.terms["fnc"].relation.annotators["false"].column(out.rows("online"), out)
        found[name] = (column >= 0).sum(1)
    assert found["fnc"].max() == 3
    assert 0 < found["fnc-eliminate"].max() < 10


class Labelled(torch.nn.Module):
    """An encoder that sees the label: rows of a label are near each other, others at right angles."""

    modality, dims = "pulse", {"pooled": 3}

    def __init__(self) -> None:
        super().__init__()
        self.noise = torch.nn.Parameter(torch.tensor(0.1))

    def forward(self, data: Tensor) -> dict[str, Tensor]:
        return {"pooled": torch.nn.functional.one_hot(data[:, 0].long(), 3) + self.noise * torch.tanh(data[:, 1:])}


def test_attracting_an_oracles_false_negatives_is_supcon() -> None:
    g = torch.Generator().manual_seed(0)
    data = batch(TWO, 9)
    label = torch.randint(0, 3, (9,), generator=g)
    for view in data.views.values():
        view.data = torch.cat([label[:, None], torch.randn(9, 3, generator=g)], 1).double()
    data = Batch(data.sample, data.views, {"label": label})
    found = {}
    for name, plan in (
        ("fnc", registry().load("method", "fnc")("attract", memory=0, top=18)),
        ("supcon", preset("supcon")),
    ):  # type: ignore[operator]
        plan = merge(plan, {"branches": {"online": {"projector": None}}})
        method = Method.from_data(plan, {"pulse": Labelled()}).double()
        loss = method.loss(data).loss
        found[name] = torch.stack([loss, gradients(method, loss)["towers.encoders.pulse.noise"]])
    torch.testing.assert_close(found["fnc"], found["supcon"])


def coclr(size: int = 7, loss: Any = None, **mined: Any) -> Method:
    term = {"annotate": {"mined": mined}} | ({"loss": loss} if loss else {})
    return method_of(
        "coclr", CLIPS, ["rgb", "flow"], learn="rgb", size=size, top=2, out=4,
        changes={"terms": {"rgb": term}},
    )  # fmt: skip


def _rgb(s: Step) -> tuple[Tensor, Tensor, Tensor]:
    return s.z("rgb"), s.z("rgb_key"), s.source("rgb_queue")


def test_coclr_with_its_own_key_alone_is_moco() -> None:
    s, loss = second(coclr(above=2.0), CLIPS)
    torch.testing.assert_close(loss, ref.moco(*_rgb(s), 0.07))
    torch.testing.assert_close(loss, ref.kcl(*_rgb(s), torch.zeros(7, 7), 0.07))


def test_coclr_whose_every_key_is_mined_is_zero() -> None:
    _, loss = second(coclr(count=7), CLIPS)
    assert loss.abs() < 1e-12


def test_the_mean_over_mined_positives_is_kcls() -> None:
    """KCL's loss, its k positives mined instead of drawn from the class."""
    s, loss = second(coclr(loss="nce"), CLIPS)
    judge, pool = ref.unit(s.z("flow_key")), s.source("flow_queue")
    mined = torch.zeros(7, 7).scatter(1, (judge @ pool.T).topk(2).indices, 1.0)
    torch.testing.assert_close(loss, ref.kcl(*_rgb(s), mined, 0.07))


def test_coclr_learns_nothing_before_its_queues_are_full() -> None:
    method = coclr(size=10)
    for seed, full in enumerate([False, False, True]):
        out = method.loss(batch(CLIPS, 7, seed))
        grads = gradients(method, out.loss)
        assert any(g.abs().max() > 0 for g in grads.values()) == full
        method.advance()


def test_coclr_takes_the_videos_other_clips_as_positives_and_mines_others() -> None:
    method = method_of("coclr", CLIPS, ["rgb", "flow"], learn="rgb", same="group", size=7, top=2, out=4)
    first, later = batch(CLIPS, 7, 0), batch(CLIPS, 7, 1)
    first.meta["group"], later.meta["group"] = torch.arange(7) // 2, torch.arange(7) // 3
    method.loss(first)
    method.advance()
    loss = method.loss(later).loss
    s = Step(method, later, method.encode(later))
    siblings = later.meta["group"][:, None] == s.source("rgb_queue", "column group")
    judge, pool = ref.unit(s.z("flow_key")), s.source("flow_queue")
    best = (judge @ pool.T).masked_fill(siblings, -9.0).topk(2).indices
    mined = siblings.double().scatter(1, best, 1.0)
    torch.testing.assert_close(loss, ref.coclr(*_rgb(s), mined))
    assert siblings.any()


def test_coclr_says_what_is_wrong() -> None:
    make: Any = registry().load("method", "coclr")
    with pytest.raises(ConfigError, match="two modalities"):
        make(["rgb"])
    with pytest.raises(ConfigError, match="did you mean 'flow'"):
        make(["rgb", "flow"], learn="flw")
