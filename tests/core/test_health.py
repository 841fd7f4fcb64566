"""Metrics of a step: retrieval within the batch, temperatures, spread."""

from __future__ import annotations

import warnings

import pytest
import torch
from tests.algebra import CASES, HEAD, Net, batch, preset
from torch.nn import functional as F

from contrapose import Method
from contrapose.cli import main
from contrapose.errors import ContraposeWarning, warn
from contrapose.losses.engine import Engine
from contrapose.methods.health import spread


def test_top1_is_retrieval_within_the_batch() -> None:
    method = CASES["simclr"].method()
    data = batch(("pulse/a", "pulse/b"), 9, seed=3)
    z = F.normalize(method.encode(data)["online"].z, dim=-1)
    cosines = z @ z.T
    cosines.fill_diagonal_(-2)
    hits = (cosines.argmax(1) == torch.arange(18).roll(9)).float().mean()
    out = method.loss(data)
    assert 0 < hits < 1
    assert out.metrics["top1/nt_xent"] == hits
    tiled = CASES["simclr"].method()
    tiled.engine = Engine("tiled", 4)
    assert tiled.loss(data).metrics["top1/nt_xent"] == hits


def test_top1_of_all_keys_together_and_of_excluded_ones_not() -> None:
    data = preset("moco-v2", sources={"queue": {"size": 8}}, branches={"online": {"projector": HEAD}})
    method = Method.from_data(data, {"pulse": Net("pulse")}).double()
    step = batch(("pulse/query", "pulse/key"), 6)
    out = method.loss(step)
    assert out.metrics["top1/info_nce"].isnan(), "an empty queue leaves no negative"
    method.advance()
    q, key = (F.normalize(method.encode(step)[n].z, dim=-1) for n in ("online", "key"))
    queue = method.sources["queue"].z[: int(method.sources["queue"].filled)]
    hits = ((q * key).sum(1) > (q @ queue.T).amax(1)).float().mean()
    assert method.loss(step).metrics["top1/info_nce"] == hits


def test_learnt_temperatures_are_told_and_fixed_ones_not() -> None:
    step = batch(CASES["clip"].views, 5)
    metrics = CASES["clip"].method().loss(step).metrics
    assert metrics["tau/" + next(iter(CASES["clip"].method().terms))] == pytest.approx(0.07)
    assert not any(k.startswith("tau/") for k in CASES["simclr"].method().loss(batch(("pulse/a", "pulse/b"))).metrics)


def test_spread_tells_a_sphere_from_a_collapse() -> None:
    g = torch.Generator().manual_seed(0)
    assert spread(torch.randn(128, 64, generator=g)) == pytest.approx(1, abs=0.02)
    assert spread(torch.ones(128, 64) + 1e-4 * torch.randn(128, 64, generator=g)) < 0.01
    assert spread(torch.ones(1, 64)).isnan()


def test_metrics_leave_no_trace_in_the_gradient() -> None:
    method = CASES["clip"].method()
    out = method.loss(batch(CASES["clip"].views, 5))
    assert not any(m.requires_grad for m in out.metrics.values())


def test_pairs_of_the_graph_have_temperature_weight_and_positives_of_their_own() -> None:
    from contrapose import registry

    graph = registry().load("method", "pair-graph")
    data = graph(
        pairs=[["pulse", "pulse"], {"pair": ["pulse", "echo"], "tau": {"learn": 0.2}, "weight": 0.5, "same": "label"}],
        out=4,
    )
    for branch in data["branches"].values():
        branch["projector"] = {"use": "linear", "out": 4}
    method = Method.from_data(data, {m: Net(m, n) for n, m in enumerate(("pulse", "echo"))}).double()
    step = batch(("pulse/0", "pulse/1", "echo/0"), 8, seed=2)
    out = method.loss(step)
    torch.testing.assert_close(out.loss, out.terms["pulse~pulse"] + 0.5 * out.terms["pulse~echo"])
    assert set(out.metrics) >= {"top1/pulse~pulse", "top1/pulse~echo", "tau/pulse~echo"}
    # The same term by hand: SupCon's L_out, both ways, of three rows a sample.
    tables = method.encode(step)
    p, e = (F.normalize(tables[m].z, dim=-1) for m in ("pulse", "echo"))
    label = step.meta["label"]
    of = {
        m: label[[step.sample.tolist().index(i) for i in tables[m].meta["sample"].tolist()]] for m in ("pulse", "echo")
    }
    alike = (of["pulse"][:, None] == of["echo"]).double()
    both = []
    for logits, pos in ((p @ e.T / 0.2, alike), (e @ p.T / 0.2, alike.T)):
        both.append(-(pos * logits.log_softmax(1)).sum(1) / pos.sum(1))
    torch.testing.assert_close(out.terms["pulse~echo"], torch.cat(both).mean(), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize(
    ("pairs", "says"),
    [
        ([{"pair": ["a", "b"], "wieght": 2}], "unknown key 'wieght' of a pair; did you mean 'weight'?"),
        (["ab"], r"expected two modalities, like \[a, b\], got 'ab'"),
        ([["a", "b"], ["a", "b"]], "the pair a~b is there twice"),
        ([], "lists pairs"),
    ],
)
def test_a_wrong_pair_is_one_clear_error(pairs, says) -> None:
    from contrapose import registry
    from contrapose.errors import ConfigError

    with pytest.raises(ConfigError, match=says):
        registry().load("method", "pair-graph")(pairs=pairs)


def test_the_command_line_says_a_warning_in_one_line(capsys: pytest.CaptureFixture, tmp_path) -> None:
    plugin = tmp_path / "loud.py"
    plugin.write_text("from contrapose.errors import warn\nfor _ in range(3):\n    warn('a column is\\nempty')\n")
    with warnings.catch_warnings():
        assert main(["plugins", "--plugin", str(plugin)]) == 0
    assert capsys.readouterr().err == "warning: a column is empty\n"
    with pytest.warns(ContraposeWarning, match="heard"):
        warn("heard")
