"""Presets on embeddings that are written down: the identities that the literature's formulas must keep, and who counts."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from tests.algebra import Net, batch, gradients, preset
from tests.plain import on, worth
from tests.reference import formulas as ref
from torch import Tensor

from contrapose import Method, build, registry
from contrapose.errors import ConfigError
from contrapose.methods.outputs import Outputs
from contrapose.methods.temperature import Shares, Temperature
from contrapose.types import ident

N = torch.arange(1, 13, dtype=torch.float64).reshape(4, 3)
Z = {"a": ref.unit(N.sin()), "b": ref.unit(N.cos()), "c": ref.unit((2 * N).sin())}
THREE = {f"{m}/0": z for m, z in Z.items()}


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def make(name: str, *args: Any, **kwargs: Any) -> dict[str, Any]:
    return registry().load("method", name)(*args, **kwargs)  # type: ignore[no-any-return,operator]


def terms(data: dict[str, Any], views: dict[str, Tensor]) -> dict[str, Tensor]:
    method, given = on(data, views)
    return method.loss(given).terms


# -- one modality ----------------------------------------------------------------------------------------------------


def test_directclr_of_the_whole_width_is_info_nce_without_a_projector() -> None:
    views = {"thing/a": draw(5, 6), "thing/b": draw(5, 6, seed=1)}
    whole = ref.both_ways(*views.values(), 0.1) / 2
    torch.testing.assert_close(worth(preset("directclr"), views), whole)
    head = preset("directclr", branches={"online": {"projector": {"out": 6}}})["branches"]["online"]["projector"]
    assert torch.equal(build("head", head, dim=6)(views["thing/a"]), views["thing/a"])
    part = build("head", {"use": "slice", "out": 4}, dim=6)(views["thing/a"])
    assert torch.equal(part, views["thing/a"][:, :4])


def test_selfcon_is_supcon_of_the_stacked_exits() -> None:
    taps = draw(6, 3, 5)  # pooled, layer3, dense of each sample's one view
    ids = torch.arange(6)
    exits = torch.cat([taps[:, 0], taps[:, 1]])
    torch.testing.assert_close(
        worth(preset("selfcon"), {"thing/view": taps}), ref.supcon_out(exits, ids.repeat(2), 0.1)
    )
    labelled = preset("selfcon", terms={"exits": {"positives": "same(label) and not self"}})
    torch.testing.assert_close(worth(labelled, {"thing/view": taps}), ref.supcon_out(exits, (ids % 3).repeat(2), 0.1))


@pytest.mark.filterwarnings("ignore:the method only attracts")
def test_byol_is_four_and_four_times_simsiam() -> None:
    views = {"thing/a": draw(5, 6), "thing/b": draw(5, 6, seed=1)}
    torch.testing.assert_close(worth(preset("byol"), views), 4 + 4 * worth(preset("simsiam"), views))


def test_moco_v3_is_two_tau_times_both_directions() -> None:
    views = {"thing/a": draw(5, 6), "thing/b": draw(5, 6, seed=1)}
    for tau in (1.0, 0.2):
        found = worth(preset("moco-v3", terms={"info_nce": {"tau": tau, "weight": 4 * tau}}), views)
        torch.testing.assert_close(found, 2 * tau * ref.both_ways(*views.values(), tau))


def test_debiased_and_hard_without_correction_are_nt_xent() -> None:
    views = {"thing/a": draw(5, 6), "thing/b": draw(5, 6, seed=1)}
    plain = worth(preset("simclr", terms={"nt_xent": {"tau": 0.5}}), views)
    unbiased = preset("debiased", terms={"debiased": {"loss": {"prior": 0.0}}})
    torch.testing.assert_close(worth(unbiased, views), plain)
    even = {"terms": {"hard": {"loss": {"beta": 0.0}}}}
    torch.testing.assert_close(worth(preset("hard", **even), views), worth(preset("debiased"), views))
    neither = preset("hard", terms={"hard": {"loss": {"beta": 0.0, "prior": 0.0}}})
    torch.testing.assert_close(worth(neither, views), plain)
    assert worth(preset("hard"), views) > worth(preset("debiased"), views)


# -- several modalities ----------------------------------------------------------------------------------------------


def test_symile_has_the_golden_value() -> None:
    found = terms(make("symile", [*Z], "all", tau=0.5), THREE)
    assert found["a"].item() == pytest.approx(2.214039475, abs=1e-9)


@pytest.mark.parametrize("negatives", ["all", "shuffled"])
def test_symile_whose_third_modality_says_nothing(negatives: str) -> None:
    """Constant: with all combinations InfoNCE + log n; with shuffled ones some order of the second's rows."""
    n, d = 6, 5
    x, y = draw(n, d), draw(n, d, seed=1)
    views = {"x/0": x, "y/0": y, "z/0": torch.ones(n, d, dtype=torch.float64)}  # unit rows are 1 / sqrt(d)
    found = terms(make("symile", ["x", "y", "z"], negatives, tau=0.25 / math.sqrt(d)), views)["x"]
    if negatives == "all":
        torch.testing.assert_close(found, ref.info_nce(x, y, 0.25) + math.log(n))
    else:
        assert not torch.isclose(found, ref.info_nce(x, y, 0.25))
        assert (found - ref.info_nce(x, y, 0.25)).abs() < 8 / 0.25


def test_symile_starts_at_a_temperature_that_suits_the_width() -> None:
    """Products of unit vectors are small: the logits of random rows are as wide as CLIP's."""
    d, n = 256, 40
    x, y, z = (ref.unit(draw(n, d, seed=s)) for s in range(3))
    for count in (3, 4):
        data = make("symile", [*"abcd"[:count]], out=d)
        scale = 1 / data["temperatures"]["tau"]["learn"]
        assert data["temperatures"]["tau"]["max_scale"] > scale
        others = y * z if count == 3 else y * z * ref.unit(draw(n, d, seed=3))
        assert (scale * x @ others.T).std() == pytest.approx((x @ y.T / 0.07).std().item(), rel=0.1)


def test_shuffled_negatives_differ_from_step_to_step_and_never_hold_the_anchor() -> None:
    method, given = on(make("symile", [*Z], tau=0.5), THREE)
    seen = []
    for _ in range(3):
        out = Outputs(method.encode(given), dict(method.sources.items()), given, method.clock, seed=1)
        q, keys = out.rows("a"), [out.rows(k, "global") for k in ("product_a", "mixed_a")]
        plan = method.terms["a"].relation.plan(q, keys, out)
        whole = slice(0, 4)
        own, mixed = (plan.tile(block, whole, whole) for block in (0, 1))
        assert torch.equal(own.pos, torch.eye(4, dtype=torch.float64))
        assert torch.equal(own.den, own.pos)
        assert torch.equal(mixed.den, 1 - torch.eye(4, dtype=torch.float64))
        assert mixed.pos.sum() == 0
        seen.append(keys[1].z.detach())
        method.loss(given)
        method.advance()
    assert not torch.equal(seen[0], seen[1])
    assert not torch.equal(seen[1], seen[2])


def test_combinations_know_their_samples() -> None:
    method, given = on(make("symile", [*Z], "all", tau=0.5), THREE, missing={"c": [3]})
    out = Outputs(method.encode(given), dict(method.sources.items()), given, method.clock)
    rows = out.rows("mixed_a", "global")  # b times c, of the three samples that have both
    assert rows.meta["sample"].tolist() == [20, -1, -1, -1, 21, -1, -1, -1, 22]
    torch.testing.assert_close(rows.z[5], Z["b"][1] * Z["c"][2])
    assert rows.replicated
    assert rows.ready
    assert len(out.rows("mixed_c", "global")) == 9  # a times b: a sample without c is nobody's negative there


def test_cmc_and_the_hub_are_sums_of_clip() -> None:
    def clip(m: str, n: str, tau: float) -> Tensor:
        return 2 * ref.clip(Z[m], Z[n], 1 / tau)

    pairs = [clip(m, n, 0.07) for m, n in ("ab", "ac", "bc")]
    torch.testing.assert_close(worth(make("cmc", [*Z]), THREE), sum(pairs))
    torch.testing.assert_close(worth(make("cmc", [*Z], "core"), THREE), pairs[0] + pairs[1])
    torch.testing.assert_close(worth(make("hub", "a", ["b", "c"]), THREE), pairs[0] + pairs[1])
    apart = worth(make("hub", "a", {"b": 0.05, "c": {"learn": 0.2}}), THREE)
    torch.testing.assert_close(apart, clip("a", "b", 0.05) + clip("a", "c", 0.2), rtol=1e-6, atol=1e-6)


def test_simcl_leaves_the_positive_out_and_counts_both_directions() -> None:
    found = terms(make("m5product", [*Z]), THREE)
    for a, b in ("ab", "ac", "bc"):
        torch.testing.assert_close(found[f"{a}~{b}"], ref.simcl(Z[a], Z[b]))


def test_learnt_weights_start_at_one_move_and_keep_their_sum() -> None:
    method, given = on(make("m5product", [*Z]), THREE)
    out = method.loss(given)
    torch.testing.assert_close(out.loss.detach(), sum(out.terms.values()))
    out.loss.backward()
    (scores,) = [p for n, p in method.named_parameters() if n.startswith("shares")]
    assert scores.grad is not None
    losses = torch.stack([*out.terms.values()])
    torch.testing.assert_close(scores.grad, losses - losses.mean())
    with torch.no_grad():
        scores.add_(torch.tensor([1.0, -2.0, 0.5]))
    weights = [method.shares["pairs"](n) for n in method.terms]  # type: ignore[operator]
    assert sum(weights).item() == pytest.approx(3)
    torch.testing.assert_close(method.loss(given).loss, sum(w * v for w, v in zip(weights, losses, strict=True)))
    assert any(scores is p for p in method.param_groups(0.1)[1]["params"])  # no weight decay


def test_a_share_of_one_is_one() -> None:
    assert Shares(["only"])("only").item() == 1


def tcl(**kwargs: Any) -> tuple[dict[str, Any], dict[str, Tensor]]:
    views = {f"{m}/{slot}": z for m, z in (("a", Z["a"]), ("b", Z["b"])) for slot in ("query", "key")}
    return make("tcl", ["a", "b"], **kwargs), views


def test_tcl_s_alignment_is_clip_before_there_is_a_queue() -> None:
    data, views = tcl(alpha=0.0)
    method, given = on(data, views)
    out = method.loss(given)
    torch.testing.assert_close((out.terms["a~b"] + out.terms["b~a"]) / 2, ref.clip(Z["a"], Z["b"], 1 / 0.07))
    six = [v for n, v in out.terms.items() if "softly" not in n]
    torch.testing.assert_close(out.loss.detach(), torch.stack(six).mean())


def test_tcl_s_soft_targets_rise_over_the_first_epoch() -> None:
    data, views = tcl(alpha=0.4, local=["a"])
    method, given = on(data, views)
    for step in (0, 5, 10, 15):
        method.clock.step.fill_(step)
        out = method.loss(given)
        alpha, t = 0.4 * min(1.0, step / 10), out.terms
        across = [(1 - alpha) * t[e] + alpha * t[f"{e}, softly"] for e in ("a~b", "b~a")]
        wanted = torch.stack([*across, t["a~a"], t["b~b"], t["a~parts"]]).mean()
        torch.testing.assert_close(out.loss.detach(), wanted)
        assert "b~parts" not in t


def test_tcl_assigns_over_the_batch_and_the_queue_together() -> None:
    data, views = tcl(size=6)
    method, given = on(data, views)
    for _ in range(3):
        method.loss(given)
        method.advance()
    out = Outputs(method.encode(given), dict(method.sources.items()), given, method.clock)
    rows = out.rows("b_all", "global")
    assert len(rows) == 4 + 6
    assert rows.meta["origin"].tolist() == [ident("b_key")] * 4 + [ident("b_queue")] * 6
    assert rows.replicated


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("cmc", ([*Z],)),
        ("m5product", ([*Z],)),
        ("symile", ([*Z], "shuffled")),
        ("symile", ([*Z], "all")),
        ("hub", ("a", ["b", "c"])),
    ],
)
def test_rows_that_lack_a_modality_change_nothing_in_its_terms(name: str, arguments: tuple[Any, ...]) -> None:
    """Seven whole samples, and the same with five more that lack b: what b takes part in stays, for value and gradient."""
    data = make(name, *arguments)
    data["branches"] = {n: b | {"projector": {"use": "linear", "out": 4}} for n, b in data["branches"].items()}
    data["terms"] = {n: t for n, t in data["terms"].items() if name == "symile" or "b" in n.split("~")}
    torch.manual_seed(0)
    method = Method.from_data(data, {m: Net(m, n) for n, m in enumerate(Z)}).double()
    whole = batch([*THREE], 12, seed=1, missing={"b": range(7, 12)})
    a, b = method.loss(whole.take(torch.arange(7))), method.loss(whole)
    torch.testing.assert_close(a.loss, b.loss, rtol=1e-12, atol=1e-12)
    wanted, found = gradients(method, a.loss), gradients(method, b.loss)
    for p, grad in wanted.items():
        torch.testing.assert_close(found[p], grad, rtol=1e-9, atol=1e-12)
    assert {n: int(c) for n, c in a.counts.items()} == {n: int(c) for n, c in b.counts.items()}


WRONG: list[tuple[str, tuple[Any, ...], str]] = [
    ("cmc", (["a"],), "two modalities or more"),
    ("m5product", (["a", "a"],), "two modalities or more"),
    ("symile", (["a", "b"],), "three modalities or more"),
    ("tcl", (["a", "b", "c"],), "two modalities"),
    ("hub", ("a", []), "two modalities or more"),
    ("hub", ("a", ["b", "a"]), "the modality a is there twice"),
]


@pytest.mark.parametrize(("name", "args", "says"), WRONG, ids=[w[0] for w in WRONG])
def test_wrong_arguments_are_one_clear_error(name: str, args: tuple[Any, ...], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        make(name, *args)


ALIGNED = {"use": "aligned", "of": ["a", "b"]}


@pytest.mark.parametrize(
    ("sources", "keys", "says"),
    [
        ({"both": ALIGNED}, ["both"], r"tables both\.0, both\.1, and no ''"),
        ({"both": ALIGNED}, ["both.2"], "no '2'"),
        ({"both": ALIGNED | {"of": ["a"]}}, ["both.0"], "two tables"),
        ({"both": {"use": "union", "of": ["a"]}}, ["both"], "two tables"),
        ({"both": {"use": "combinations", "of": []}}, ["both"], "at least one table"),
        ({"both": {"use": "combinations", "of": ["a"], "having": ["bb"]}}, ["both"], "did you mean 'b'"),
    ],
)
def test_a_wrong_source_is_one_clear_error(sources: dict[str, Any], keys: list[str], says: str) -> None:
    branches = {m: {"views": f"{m}/*"} for m in "ab"}
    data = {"branches": branches, "sources": sources, "terms": {"t": {"query": "a", "keys": keys}}}
    with pytest.raises(ConfigError, match=says):
        worth(data, THREE)


def test_a_weight_that_is_neither_a_schedule_nor_a_share_is_refused() -> None:
    data = preset("simclr", terms={"nt_xent": {"weight": {"share": 3}}})
    with pytest.raises(ConfigError, match="a schedule is"):
        on(data, {"thing/a": Z["a"], "thing/b": Z["b"]})


def test_a_temperature_stays_between_its_bounds() -> None:
    tau = Temperature(0.07, max_scale=1000.0, min_scale=2.0)
    for learnt, expected in ((math.log(5000.0), 1000.0), (math.log(0.1), 2.0), (math.log(7.0), 7.0)):
        with torch.no_grad():
            tau.log_scale.fill_(learnt)
        tau.clamp()
        assert tau().item() == pytest.approx(expected, rel=1e-6)


def test_a_head_has_a_bias_where_nothing_centres_it_after() -> None:
    def biases(**head: Any) -> list[bool]:
        net = build("head", {"use": "mlp", "hidden": 6, "out": 4, **head}, dim=5).net
        return [layer.bias is not None for layer in net if isinstance(layer, torch.nn.Linear)]

    assert biases() == [False, True]
    assert biases(norm="none", layers=3) == [True, True, True]
    assert biases(norm="none", bias=False) == [True, False]
    assert biases(last="plain") == [False, False]
    assert build("head", {"use": "linear", "bias": False}, dim=5).net[0].bias is None
    clip = make("clip", ["a", "b"])["branches"]["a"]["projector"]
    assert build("head", clip, dim=5).net[0].bias is None
