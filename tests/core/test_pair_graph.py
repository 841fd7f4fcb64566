"""The pair graph: its shapes by name, what an edge may say, what is told of each, and rows that lack a modality."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.algebra import Net, batch, gradients
from tests.end_to_end.waves import write_project
from tests.reference import formulas as ref
from torch.nn import functional as F

from contrapose import Method, registry
from contrapose.config import Config
from contrapose.engine.build import Parts
from contrapose.errors import ConfigError, ContraposeWarning
from contrapose.losses.engine import Engine
from contrapose.plugins import configure
from contrapose.types import Batch

FOUR = ["text", "video", "sound", "depth"]


def graph(**said: Any) -> dict[str, Any]:
    return registry().load("method", "pair-graph")(**said)  # type: ignore[no-any-return,operator]


def method(**said: Any) -> Method:
    """Over toy encoders of its modalities, with linear projectors to the plane of 4."""
    data = graph(out=4, **said)
    for branch in data["branches"].values():
        branch["projector"] = {"use": "linear", "out": 4}
    torch.manual_seed(0)
    return Method.from_data(data, {m: Net(m, n) for n, m in enumerate(data["branches"])}).double()


def one_each(*modalities: str) -> tuple[str, ...]:
    return tuple(f"{m}/0" for m in modalities)


# -- shapes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "names"),
    [
        ({"graph": "full"}, "text~video text~sound text~depth video~sound video~depth sound~depth"),
        ({"graph": "hub", "centre": "sound"}, "sound~text sound~video sound~depth"),
        ({"graph": "chain"}, "text~video video~sound sound~depth"),
        (
            {"graph": "chain", "intra": True},
            "text~text video~video sound~sound depth~depth text~video video~sound sound~depth",
        ),
        ({"graph": "chain", "intra": ["depth"]}, "depth~depth text~video video~sound sound~depth"),
        ({"pairs": [["text", "video"], ["video", "video"]]}, "text~video video~video"),
        ({"graph": "chain", "pairs": [["text", "depth"]]}, "text~video video~sound sound~depth text~depth"),
    ],
    ids=str,
)
def test_a_graph_has_its_pairs(said: dict[str, Any], names: str) -> None:
    assert " ".join(graph(modalities=FOUR, **said)["terms"]) == names


def test_pairs_change_the_edges_of_a_graph() -> None:
    """By either order of the two; what they don't say stays, and ``terms`` of a config go over both."""
    pairs = [
        {"pair": ["video", "text"], "weight": 0.5},
        {"pair": ["sound", "depth"], "loss": "sigmoid", "bias": {"learn": -10.0}},
    ]
    terms = graph(graph="chain", modalities=FOUR, tau={"learn": 0.2}, pairs=pairs)["terms"]
    assert [*terms] == ["text~video", "video~sound", "sound~depth"]
    assert [t["weight"] for t in terms.values()] == [0.5, 1.0, 1.0]
    assert [t["loss"] for t in terms.values()] == ["nce", "nce", "sigmoid"]
    assert [t.get("bias") for t in terms.values()] == [None, None, {"learn": -10.0}]
    assert all(t["tau"] == {"learn": 0.2} for t in terms.values())


def test_the_papers_graphs_are_these_shapes() -> None:
    for name, of, shape in (
        ("cmc", {"modalities": FOUR}, {"graph": "full"}),
        ("cmc", {"modalities": FOUR, "graph": "core"}, {"graph": "hub", "centre": "text"}),
        ("hub", {"centre": "video", "others": ["sound", "depth"]}, {"graph": "hub", "centre": "video"}),
    ):
        terms = registry().load("method", name)(**of)["terms"]  # type: ignore[operator]
        nodes = ["video", "sound", "depth"] if name == "hub" else FOUR
        mine = graph(modalities=nodes, **shape, tau=0.07)["terms"]
        assert terms == {n: t | {"weight": 2.0} for n, t in mine.items()}


@pytest.mark.parametrize(
    ("said", "says"),
    [
        ({"modalities": FOUR, "pairs": [["text", "vidoe"]]}, "there is no modality 'vidoe'; did you mean 'video'?"),
        ({"modalities": FOUR, "graph": "hub"}, "a hub needs its centre, one of text, video, sound, depth"),
        ({"modalities": FOUR, "graph": "hub", "centre": "txt"}, "there is no modality 'txt'; did you mean 'text'?"),
        ({"modalities": FOUR, "graph": "full", "centre": "text"}, "only a hub has a centre, and this graph is full"),
        (
            {"modalities": FOUR, "pairs": [["text", "video"]], "centre": "text"},
            "only a hub has a centre: set graph: hub",
        ),
        ({"modalities": ["text"], "graph": "full"}, "lists two modalities or more"),
        ({"modalities": [], "graph": "chain"}, "lists two modalities or more"),
        ({"modalities": ["text", "video", "text"], "graph": "chain"}, "the modality text is there twice"),
        ({"modalities": FOUR, "graph": "full", "intra": ["pulse"]}, "there is no modality 'pulse'"),
        ({"pairs": [["text", "video"], ["video", "text"]]}, "the pair video~text is there twice"),
        ({"graph": "full", "modalities": FOUR, "pairs": [["text", "video"]] * 2}, "the pair text~video is there twice"),
        ({}, "lists pairs of modalities, .* or names a graph: full, hub or chain"),
    ],
    ids=str,
)
def test_a_wrong_graph_is_one_clear_error(said: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        graph(**said)


def test_a_shape_that_there_is_not_is_refused() -> None:
    from contrapose import build

    with pytest.raises(ConfigError, match="expected one of 'full', 'hub', 'chain', got 'ring'"):
        build("method", {"use": "pair-graph", "graph": "ring"}, modalities=FOUR)


def test_pairs_that_nothing_joins_are_told() -> None:
    with pytest.warns(ContraposeWarning, match="no pairs lead from one to another of text, video and sound, depth"):
        graph(pairs=[["text", "video"], ["sound", "depth"]])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        graph(pairs=[["text", "video"], ["sound", "depth"], ["depth", "text"], ["text", "text"]])


# -- in a run --------------------------------------------------------------------------------------------------------


@pytest.fixture
def project(tmp_path: Path) -> Any:
    configure().load_file(Path(__file__).parents[1] / "end_to_end" / "waves.py")
    yield write_project(tmp_path / "project")
    configure()


def parts(project: Path, text: str) -> Parts:
    head, _, tail = project.read_text().partition("method:\n")
    project.write_text(f"{head}method: {text}\ntrain:{tail.partition('train:')[2]}")
    return Parts(Config.load(project))


def test_a_graph_is_over_the_modalities_of_the_run(project: Path) -> None:
    made = parts(
        project, "{use: pair-graph, graph: full, intra: true, terms: {wave~echo: {weight: 3.0}}}"
    ).make_method()
    assert [*made.terms.keys()] == ["wave~wave", "echo~echo", "wave~echo"]
    assert made.terms["wave~echo"].weight == 3.0


def test_a_pair_of_a_modality_that_the_run_lacks_is_told_with_its_line(project: Path) -> None:
    with pytest.raises(ConfigError, match=r"there is no modality 'ecko'; did you mean 'echo'\?") as raised:
        _ = parts(project, "{use: pair-graph, pairs: [[wave, ecko]]}").recipe
    assert raised.value.path == ("method", "pairs", 0)


def test_a_modality_without_a_pair_is_told(project: Path) -> None:
    one = parts(project, "{use: pair-graph, pairs: [[wave, wave]]}")
    with pytest.warns(ContraposeWarning, match="no branch takes the views of echo: nothing learns from it"):
        made = one.make_method()
    assert not any(p.requires_grad for p in made.encoders["echo"].parameters()), "or DDP waits for its gradients"
    assert all(p.requires_grad for p in made.encoders["wave"].parameters())


# -- what an edge is worth, and what is told of it --------------------------------------------------------------------


def test_a_sigmoid_edge_is_siglip() -> None:
    made = method(pairs=[{"pair": ["text", "video"], "loss": "sigmoid", "tau": 0.1, "bias": -10.0}])
    step = batch(one_each("text", "video"), 6)
    a, b = (made.encode(step)[m].z for m in ("text", "video"))
    torch.testing.assert_close(made.loss(step).loss, ref.siglip(a, b, 10.0, -10.0))


def edges(text: str = "text") -> dict[str, Any]:
    """An edge of each form."""
    return {
        "pairs": [
            [text, text],
            {"pair": [text, "video"], "same": "label", "tau": {"learn": 0.2}},
            {"pair": ["video", "sound"], "loss": "sigmoid", "bias": {"learn": -3.0}, "weight": {"linear": [0.5, 1.5]}},
            {"pair": [text, "sound"], "loss": {"use": "nce", "denominator": "negatives"}},
        ]
    }


VIEWS = ("text/0", "text/1", "video/0", "sound/0")


def test_each_edge_is_told_by_itself() -> None:
    made = method(**edges())
    made.clock.start(steps_per_epoch=10, epochs=3)
    step = batch(VIEWS, 12, seed=1, missing={"video": [0, 3], "sound": [3, 4, 5]})
    out = made.loss(step)
    tables = {m: made.encode(step)[m] for m in ("text", "video", "sound")}
    z = {m: F.normalize(rows.z, dim=-1) for m, rows in tables.items()}
    has = {m: set(rows.meta["sample"].tolist()) for m, rows in tables.items()}
    for a, b, both in (("text", "video", 10), ("video", "sound", 8), ("text", "sound", 9)):
        shared = has[a] & has[b]
        assert out.metrics[f"samples/{a}~{b}"] == len(shared) == both
        means = [z[m][[s in shared for s in tables[m].meta["sample"].tolist()]].mean(0) for m in (a, b)]
        torch.testing.assert_close(out.metrics[f"gap/{a}~{b}"], (means[0] - means[1]).norm())
    assert out.metrics["samples/text~text"] == 12
    assert "gap/text~text" not in out.metrics
    # R@1 of each way by hand, in the pair that has but one row of each a sample; the other way isn't the same.
    rows = {
        m: [i for i, s in enumerate(tables[m].meta["sample"].tolist()) if s in has["video"] & has["sound"]]
        for m in ("video", "sound")
    }
    ids = {m: tables[m].meta["sample"][rows[m]] for m in rows}
    ways = []
    for a, b in (("video", "sound"), ("sound", "video")):
        found = ids[b][(z[a][rows[a]] @ z[b][rows[b]].T).argmax(1)] == ids[a]
        ways.append(found.double().mean())
        torch.testing.assert_close(out.metrics[f"top1_from/video~sound/{a}"].double(), ways[-1])
    torch.testing.assert_close(out.metrics["top1/video~sound"].double(), torch.stack(ways).mean())
    assert out.metrics["tau/text~video"] == pytest.approx(0.2)
    assert out.metrics["weight/video~sound"] == pytest.approx(0.5)
    assert "weight/text~video" not in out.metrics
    assert not any(m.requires_grad for m in out.metrics.values())


def test_both_ways_are_told_in_a_batch_of_more_anchors_than_are_looked_at() -> None:
    made = method(pairs=[["text", "video"]])
    step = batch(one_each("text", "video"), 300)
    data = step.views["text/0"].data
    step.views["video/0"].data = data + 0.3 * batch(one_each("text", "video"), 300, seed=1).views["video/0"].data
    for modules in (made.encoders, made.towers.projectors):
        modules["video"].load_state_dict(modules["text"].state_dict())
    out = made.loss(step)
    a, b = (F.normalize(made.encode(step)[m].z, dim=-1) for m in ("text", "video"))
    for m, logits in (("text", a @ b.T), ("video", b @ a.T)):
        hits = (logits[:128].argmax(1) == torch.arange(128)).double().mean()
        assert 0 < hits < 1
        torch.testing.assert_close(out.metrics[f"top1_from/text~video/{m}"].double(), hits)


def test_a_method_of_one_modality_is_told_as_before() -> None:
    from tests.algebra import CASES

    metrics = CASES["simclr"].method().loss(batch(("pulse/a", "pulse/b"))).metrics
    assert {name.partition("/")[0] for name in metrics} == {"top1", "spread"}


# -- missing modalities ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("gone", ["video", "sound", "text"])
def test_rows_that_lack_a_modality_change_nothing_of_its_edges(gone: str) -> None:
    """Seven whole samples, and five more that lack one: its edges' losses, gradients and numbers stay, the others' don't."""
    made = method(**edges())
    made.clock.start(steps_per_epoch=10, epochs=3)
    more = batch(VIEWS, 12, seed=1, missing={gone: range(7, 12)})
    few = more.take(torch.arange(7))
    a, b = made.loss(few), made.loss(more)
    for name, term in made.terms.items():
        touched = gone in name.split("~")
        kinds = ("gap", "samples", "top1")
        numbers = {k: (a.metrics.get(f"{k}/{name}"), b.metrics.get(f"{k}/{name}")) for k in kinds}
        if touched:
            torch.testing.assert_close(a.terms[name], b.terms[name], rtol=1e-12, atol=1e-12)
            assert torch.equal(a.counts[name], b.counts[name])
            for x, y in numbers.values():
                assert x is y is None or torch.allclose(x, y, equal_nan=True)
            alone = Method.from_data(
                {
                    "branches": {
                        m: {"views": f"{m}/*", "projector": {"use": "linear", "out": 4}} for m in made.towers.branches
                    },
                    "terms": {name: {**_node(name), "weight": 1.0}},
                },
                {m: Net(m, n) for n, m in enumerate(made.towers.branches)},
            ).double()
            wanted, found = (gradients(alone, alone.loss(step).loss) for step in (few, more))
            for p, grad in wanted.items():
                torch.testing.assert_close(found[p], grad, rtol=1e-10, atol=1e-12)
        else:
            assert not torch.isclose(a.terms[name], b.terms[name])
        assert term.several


def _node(name: str) -> dict[str, Any]:
    return graph(**edges())["terms"][name]  # type: ignore[no-any-return]


def test_tiles_and_matrices_agree_on_edges_that_not_all_have() -> None:
    made = method(**edges())
    made.clock.start(steps_per_epoch=10, epochs=3)
    step = batch(VIEWS, 12, seed=1, missing={"video": [0, 3], "sound": [3, 4, 5]})
    whole = made.loss(step)
    made.engine = Engine("tiled", 4)
    for name, value in made.loss(step).terms.items():
        torch.testing.assert_close(value, whole.terms[name], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("gone", [["video"], ["video", "sound"], ["text", "video", "sound"]], ids=str)
def test_where_all_lack_it_an_edge_is_a_finite_zero_in_the_graph(gone: list[str]) -> None:
    made = method(**edges())
    made.clock.start(steps_per_epoch=10, epochs=3)
    out = made.loss(batch(VIEWS, 6, missing={m: range(6) for m in gone}))
    for name, value in out.terms.items():
        if {*gone} & {*name.split("~")}:
            assert value == 0, name
            assert out.metrics[f"samples/{name}"] == 0
    assert out.loss.isfinite()
    out.loss.backward()
    for name, p in made.named_parameters():
        assert p.grad is not None, name  # every parameter takes part, or other processes wait
        assert p.grad.isfinite().all()
        if any(f".{m}." in name for m in gone):
            assert torch.equal(p.grad, torch.zeros_like(p))
    made.advance()


def test_one_sample_that_has_both_is_no_pair() -> None:
    """Without a negative there is nothing to learn: NCE is 0, its gradient too."""
    made = method(pairs=[["text", "video"]])
    out = made.loss(batch(one_each("text", "video"), 5, missing={"video": range(1, 5)}))
    assert out.loss == 0
    out.loss.backward()
    assert all(p.grad is not None and not p.grad.any() for p in made.parameters())


def test_captions_that_are_the_same_are_positives_of_each_other() -> None:
    """Two things of one caption: without ``same`` they are each other's negatives, which no encoder can tell apart."""
    made, plain = (method(pairs=[{"pair": ["text", "video"], **said}]) for said in ({"same": "label"}, {}))
    step = batch(one_each("text", "video"), 6, seed=2)
    twins = Batch(step.sample, step.views, {"label": torch.tensor([0, 0, 1, 2, 3, 4])})
    a, b = (F.normalize(made.encode(twins)[m].z, dim=-1) for m in ("text", "video"))
    alike = (twins.meta["label"][:, None] == twins.meta["label"]).double()
    both = [-(alike * (x @ y.T / 0.1).log_softmax(1)).sum(1) / alike.sum(1) for x, y in ((a, b), (b, a))]
    torch.testing.assert_close(made.loss(twins).loss, torch.cat(both).mean())
    torch.testing.assert_close(plain.loss(twins).loss, ref.clip(a, b, 10.0))
