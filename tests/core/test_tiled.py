"""Tiles give what all pairs at once give: by predicates, by lists and by the kernel, in memory that doesn't grow with Q x K."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.benchmarks.harness import extra_peak
from tests.core.test_losses import LOSSES
from torch import Tensor, nn
from torch.nn import functional as F

from contrapose.losses import logsum as kernel
from contrapose.losses import tiled
from contrapose.losses.engine import DENSE, Engine, pair_loss
from contrapose.losses.nce import NCE
from contrapose.losses.pair import Block, PairLoss
from contrapose.losses.rectangles import Rectangle
from contrapose.losses.similarity import Similarity, dot, euclidean
from contrapose.relations import listing
from contrapose.relations.predicate import parse
from contrapose.relations.relation import PredicatePlan, Relation, Soft
from contrapose.types import Rows, cat_rows, ident

RELATIONS = (
    ({"same(sample) and not self": 1.0}, {"not self": 1.0}),
    ({"same(sample) and not same(origin)": 1.0}, {"not same(origin) and has(b)": 1.0}),
    ({"same(sample)": 1.0}, {"positive or origin(b)": 1.0}),
    ({"same(label) and not self": 1.0}, {"not self": 1.0}),
    ({"same(sample)": 1.0, "same(many)": 0.3}, {"not same(view)": 1.0, "same(sample)": 0.5}),
    ({"same(sample)": "share", "same(many) and near(time, 0.5)": 2.0}, {"all": 1.0}),
)
NAMES = frozenset({"v"})


def table(n: int, origin: str, g: torch.Generator, dtype: torch.dtype = torch.float64, missing: bool = False) -> Rows:
    """Random unit rows, some of them twice, whose columns have few values and unknown ones."""
    z = F.normalize(torch.randn(n, 3, generator=g, dtype=torch.float64), dim=1)
    z = z[torch.randint(0, n, (n,), generator=g)] if n else z
    meta = {
        "origin": torch.full((n,), ident(origin)),
        "sample": torch.randint(-1, max(n // 2, 1), (n,), generator=g),
        "view": torch.arange(n) * 2 // max(n, 1),
        "position": torch.zeros(n, dtype=torch.int64),
        "draw": torch.arange(n) // 2,
        "label": torch.randint(-1, 2, (n,), generator=g),
        "many": torch.randint(-1, 9, (n, 2), generator=g),
        "time": torch.rand(n, generator=g),
        "share": torch.rand(n, generator=g),
        "has:b": torch.randint(0, 2, (n,), generator=g) if missing else torch.ones(n, dtype=torch.int64),
    }
    return Rows(z.to(dtype), meta)


def setting(
    tables: dict[str, Rows],
    query: Sequence[str],
    keys: Sequence[str],
    relation: int,
    scale: Tensor | float,
    bias: Tensor | float | None = None,
    similarity: Similarity = dot,
) -> tuple[list[Block], PredicatePlan]:
    """A term's blocks and plan, as a method makes them."""
    positives, denominator = RELATIONS[relation]
    made = Relation({parse(t): w for t, w in positives.items()}, {parse(t): w for t, w in denominator.items()})
    q = cat_rows([tables[name] for name in query])
    blocks = [Block([tables[name].z for name in query], tables[k], similarity, scale, bias) for k in keys]
    return blocks, PredicatePlan(made, q, [tables[k] for k in keys], NAMES, None, None)


def worth(loss: PairLoss, blocks: list[Block], plan: Any, scale: Tensor | float, engine: Engine) -> Tensor:
    value, weight = pair_loss(blocks, plan, loss, scale, engine)
    return (value * weight * torch.linspace(1, 2, len(value), dtype=value.dtype)).sum()


def assert_same(make: Callable[[Engine], Tensor], leaves: Sequence[Tensor], side: int, unit: float = 1.0) -> None:
    """Value and gradients in tiles are those at once, to 1e-12 of the largest, or of ``unit``, the largest logit."""
    found = []
    for engine in (DENSE, Engine("tiled", side)):
        value = make(engine)
        found.append([value, *torch.autograd.grad(value, leaves, allow_unused=True, materialize_grads=True)])
    for dense, tiles in zip(*found, strict=True):
        assert dense.isfinite().all()
        largest = max([unit, *dense.detach().abs().flatten().tolist()])
        torch.testing.assert_close(tiles, dense, rtol=0, atol=1e-12 * largest)


@pytest.mark.parametrize("name", LOSSES)
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_tiles_give_what_dense_gives(name: str, data: Any) -> None:
    g = torch.Generator().manual_seed(data.draw(st.integers(0, 10**6)))
    missing = data.draw(st.booleans())
    tables = {o: table(data.draw(st.integers(0, 9)), o, g, missing=missing) for o in "abc"}
    for rows in tables.values():
        rows.z.requires_grad_()
    query, keys = data.draw(
        st.sampled_from([("a", "a"), ("a", "b"), ("ab", "ab"), ("ab", "ba"), ("a", "bc"), ("ab", "abc"), ("abc", "b")])
    )
    similarity = data.draw(st.sampled_from([dot, dot, dot, euclidean]))
    scales = (
        [1.0, 10.0, 100.0, 900.0] if similarity is dot else [1.0, 10.0]
    )  # distances at 900 overflow `debiased`, tiled or not
    scale = torch.tensor(data.draw(st.sampled_from(scales)), dtype=torch.float64).requires_grad_()
    bias = None
    if data.draw(st.booleans()):
        bias = torch.tensor(-0.5, dtype=torch.float64).requires_grad_()
    if data.draw(st.booleans()):
        last = tables[keys[-1]]
        last.tau, last.bias = ((torch.rand(len(last), generator=g).double() + 0.5).requires_grad_() for _ in range(2))
    relation = data.draw(st.integers(0, len(RELATIONS) - 1))
    leaves = [t for r in tables.values() for t in (r.z, r.tau, r.bias) if t is not None]
    leaves += [scale] if bias is None else [scale, bias]

    def make(engine: Engine) -> Tensor:
        blocks, plan = setting(tables, query, keys, relation, scale, bias, similarity)
        return worth(LOSSES[name], blocks, plan, scale, engine) + 0 * sum(t.sum() for t in leaves)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(listing, "PER_ROW", data.draw(st.sampled_from([0, 1, 16])))
        patch.setattr(listing, "RUNS", data.draw(st.sampled_from([2, 8])))
        assert_same(make, leaves, data.draw(st.integers(1, 6)), float(scale.detach()))


@pytest.mark.parametrize("name", LOSSES)
def test_keys_of_each_anchors_own(name: str) -> None:
    g = torch.Generator().manual_seed(0)
    q, k = torch.randn(5, 3, generator=g).double(), torch.randn(5, 4, 3, generator=g).double()
    shared, scale = torch.randn(6, 3, generator=g).double(), torch.tensor(3.0).double()
    leaves = [t.requires_grad_() for t in (q, k, shared, scale)]
    columns = ("sample", "view", "position", "draw", "origin")
    own = Rows(k, {c: torch.randint(0, 2, (5, 4), generator=g) for c in columns}, private=True)
    others = Rows(shared, {c: torch.randint(0, 2, (6,), generator=g) for c in columns})
    relation = Relation({parse("same(sample)"): 1.0}, {parse("all"): 1.0})
    rows = Rows(q, {c: torch.randint(0, 2, (5,), generator=g) for c in columns})
    plan = PredicatePlan(relation, rows, [others, own], NAMES, None, None)
    blocks = [Block(q, keys, dot, scale, None) for keys in (others, own)]
    assert_same(lambda engine: worth(LOSSES[name], blocks, plan, scale, engine), leaves, 3)


@pytest.mark.parametrize("name", LOSSES)
def test_soft_positives_and_weighed_attraction(name: str) -> None:
    g = torch.Generator().manual_seed(1)
    a, b = table(7, "a", g), table(5, "b", g)
    scale, attract = torch.tensor(4.0).double(), torch.rand(7, generator=g).double()
    leaves = [t.requires_grad_() for t in (a.z, b.z, scale, attract)]
    soft = Soft(torch.rand(7, 5, generator=g).double().softmax(-1), a, parse("same(draw)"))
    relation = Relation({}, {parse("all"): 1.0})
    relation.assigner = nn.Identity()  # type: ignore[assignment]
    plan = PredicatePlan(relation, a, [b], NAMES, soft, attract)
    assert_same(lambda e: worth(LOSSES[name], [Block(a.z, b, dot, scale, None)], plan, scale, e), leaves, 3)


class _Metric(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.eye(3).double() + 0.1)

    def forward(self, q: Tensor, k: Tensor, private: bool = False) -> Tensor:
        return dot(q @ self.weight, k, private)


def test_a_similarity_with_parameters_has_their_gradient() -> None:
    g = torch.Generator().manual_seed(2)
    tables = {"a": table(7, "a", g)}
    metric = _Metric()
    blocks, plan = setting(tables, "a", "a", 0, 2.0, similarity=metric)
    assert_same(lambda e: worth(NCE(), blocks, plan, 2.0, e), [metric.weight], 3)


@pytest.mark.parametrize("relation", [0, 3])
@pytest.mark.parametrize("name", ["all", "in", "sigmoid"])
def test_tables_in_bf16_are_summed_up_in_fp32(name: str, relation: int) -> None:
    found = []
    for dtype in (torch.bfloat16, torch.float64):
        tables = {"a": table(40, "a", torch.Generator().manual_seed(9))}
        tables["a"].z = tables["a"].z.bfloat16().to(dtype).requires_grad_()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(listing, "PER_ROW", 3)
            blocks, plan = setting(tables, "a", "a", relation, 5.0)
            value, weight = pair_loss(blocks, plan, LOSSES[name], 5.0, Engine("tiled", 16))
            loss = (value * weight).sum()
        found.append([loss.detach().double(), torch.autograd.grad(loss, tables["a"].z)[0].double()])
    for half, exact in zip(*found, strict=True):
        assert (half - exact).abs().max() <= 5e-3 * exact.abs().max()


@pytest.mark.parametrize("name", ["own", "sigmoid"])
def test_what_is_saved_may_be_moved_elsewhere_meanwhile(name: str) -> None:
    g = torch.Generator().manual_seed(8)
    tables = {"a": table(7, "a", g)}
    scale = torch.tensor(2.0).double()
    leaves = [t.requires_grad_() for t in (tables["a"].z, scale)]

    def make(engine: Engine) -> Tensor:
        with torch.autograd.graph.saved_tensors_hooks(torch.clone, lambda t: t):
            blocks, plan = setting(tables, "a", "a", 0, scale)
            return worth(LOSSES[name], blocks, plan, scale, engine)

    assert_same(make, leaves, 3)


@pytest.mark.parametrize("loss", ["all", "negatives", "own", "in", "debiased"])
@pytest.mark.parametrize(
    ("query", "keys", "relation", "visited"), [("a", "a", 0, 10), ("ab", "ab", 1, 16), ("a", "ab", 2, 16)]
)
def test_no_pair_is_visited_that_follows_from_others(
    loss: str, query: str, keys: str, relation: int, visited: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tiles of 3 of 12 rows: a triangle of 4 by 4, one of two directions, and none of the keys that count only if listed."""
    g = torch.Generator().manual_seed(3)
    tables = {o: table(12, o, g) for o in "ab"}
    tiles, whole = [], kernel._Tiles.__iter__

    def counted(self: Any) -> Any:
        for tile in whole(self):
            tiles.append(tile)
            yield tile

    monkeypatch.setattr(listing, "PER_ROW", 3)
    monkeypatch.setattr(kernel._Tiles, "__iter__", counted)
    monkeypatch.setattr(tiled.Tiled, "_tile", lambda *args: pytest.fail("a tile was filled"))
    blocks, plan = setting(tables, query, keys, relation, 2.0)
    pair_loss(blocks, plan, LOSSES[loss], 2.0, Engine("tiled", 3))
    assert len(tiles) == visited


def test_keys_that_lack_a_branch_are_left_out_of_the_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    g = torch.Generator().manual_seed(7)
    tables = {o: table(12, o, g, missing=True) for o in "ab"}
    monkeypatch.setattr(listing, "PER_ROW", 3)
    monkeypatch.setattr(listing, "RUNS", 2)
    monkeypatch.setattr(tiled.Tiled, "_tile", lambda *args: pytest.fail("a tile was filled"))
    blocks, plan = setting(tables, "ab", "ab", 1, 2.0)
    listed = plan.listed(0)
    assert listed is not None
    assert any(r.without is not None for r in listed.regions)
    pair_loss(blocks, plan, LOSSES["all"], 2.0, Engine("tiled", 3))


def test_positives_by_label_are_summed_up_by_group(monkeypatch: pytest.MonkeyPatch) -> None:
    """SupCon's kernel visits a triangle, and its list is each row with itself."""
    g = torch.Generator().manual_seed(6)
    tables = {"a": table(12, "a", g)}
    tables["a"].meta.update(sample=torch.arange(12), label=torch.arange(12) % 2)
    monkeypatch.setattr(listing, "PER_ROW", 1)
    monkeypatch.setattr(tiled.Tiled, "_tile", lambda *args: pytest.fail("a tile was filled"))
    blocks, plan = setting(tables, "a", "a", 3, 2.0)
    listed = plan.listed(0)
    assert listed is not None
    assert torch.equal(listed.i, listed.j)
    assert [(r.den, r.pos) for r in listed.regions] == [(1.0, 1.0)]
    pair_loss(blocks, plan, LOSSES["all"], 2.0, Engine("tiled", 3))


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_a_list_and_its_rectangles_are_the_plan(data: Any) -> None:
    g = torch.Generator().manual_seed(data.draw(st.integers(0, 10**6)))
    missing = data.draw(st.booleans())
    tables = {o: table(data.draw(st.integers(1, 12)), o, g, missing=missing) for o in "ab"}
    query, keys = data.draw(st.sampled_from([("a", "a"), ("ab", "ab"), ("a", "b")]))
    _, plan = setting(tables, query, keys, data.draw(st.integers(0, len(RELATIONS) - 1)), 1.0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(listing, "PER_ROW", data.draw(st.sampled_from([0, 1, 16])))
        patch.setattr(listing, "RUNS", data.draw(st.sampled_from([2, 8])))
        for b in range(len(keys)):
            listed, dense = plan.listed(b), plan.tile(b, slice(None), slice(None))
            if listed is None:
                continue
            pos, den = torch.zeros_like(dense.pos), torch.full_like(dense.den, torch.nan)
            for r in listed.regions:
                den[r.i, r.j] = r.den
                if r.without is not None:
                    den[r.i, r.without] = 0.0
                if r.pos:
                    x, y = (c[part] for c, part in zip(listed.groups, (r.i, r.j), strict=True))
                    pos[r.i, r.j] = r.pos * ((x[:, None] == y) & (y >= 0))
            pos[listed.i, listed.j], den[listed.i, listed.j] = listed.pos, listed.den
            torch.testing.assert_close(pos, dense.pos, rtol=0, atol=0)
            torch.testing.assert_close(den, dense.den, rtol=0, atol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("case", ["small", "large", "far"])
def test_log_sums_have_the_shift_that_they_need(case: str, dtype: torch.dtype) -> None:
    """fp32 bears logits of 70; beyond, a fixed shift serves unless an anchor is far from all keys."""
    g = torch.Generator().manual_seed(4)
    x, y = (F.normalize(torch.randn(n, 8, generator=g), dim=1).to(dtype) for n in (20, 30))
    if case == "far":
        y[:] = y[:1]
        x[0], x[1] = -y[0], y[0]
    scale = torch.tensor(10.0 if case == "small" else 100.0)
    nothing = torch.zeros(0, dtype=torch.int64)
    weights = torch.linspace(1, 2, 20)

    def of(x: Tensor, y: Tensor, scale: Tensor) -> list[Tensor]:
        leaves = [t.detach().requires_grad_() for t in (x, y, scale)]
        r = Rectangle(leaves[0], slice(0, 20), leaves[1], slice(0, 30), leaves[2], (nothing, nothing), None, 0)
        logsum, grads = kernel.LogSum([r], 20, 7), {id(t): torch.zeros_like(t, dtype=torch.float32) for t in leaves}
        with torch.no_grad():
            made = logsum()
            logsum.add_gradients(made, weights, grads)
        assert (logsum.shift is None) == (case == "far")
        return [made, *grads.values()]

    def wanted(x: Tensor, y: Tensor, scale: Tensor) -> list[Tensor]:
        leaves = [t.detach().double().requires_grad_() for t in (x, y, scale)]
        made = (leaves[2] * leaves[0] @ leaves[1].T).logsumexp(1)
        return [made.detach(), *torch.autograd.grad((made * weights).sum(), leaves)]

    for got, exact in zip(of(x, y, scale), wanted(x, y, scale), strict=True):
        error = (got.double() - exact).abs().max() / exact.abs().max()
        assert error <= (2e-5 if dtype == torch.float32 else 5e-3)


def test_an_anchor_without_pairs_and_one_with_nan() -> None:
    nothing = torch.zeros(3, dtype=torch.int64), torch.arange(3)
    for x in (torch.ones(2, 3).double(), torch.tensor([[1.0, 1, 1], [1, torch.nan, 1]]).double()):
        y, grad = torch.ones(3, 3).double(), torch.zeros(2, 3).double()
        logsum = kernel.LogSum([Rectangle(x, slice(0, 2), y, slice(0, 3), 1.0, nothing, None, 0)], 2, 2)
        made = logsum()
        assert made[0] == -torch.inf
        logsum.add_gradients(made, torch.ones(2).double(), {id(x): grad})
        if x.isfinite().all():
            torch.testing.assert_close(made[1], torch.tensor(3.0).double() + torch.tensor(3.0).double().log())
            assert grad.isfinite().all()
        else:
            assert made[1].isnan()
            assert grad[1].isnan().all()


@pytest.mark.parametrize(
    ("loss", "query", "keys", "relation"),
    [
        ("all", "a", "a", 0),
        ("all", "ab", "ab", 1),
        ("all", "a", "a", 3),
        ("hard", "a", "a", 0),
        ("sigmoid", "ab", "ab", 1),
    ],
)
def test_memory_is_of_the_tables_and_some_tiles(loss: str, query: str, keys: str, relation: int) -> None:
    """At most four times the tables, 16 numbers a row and 32 tiles: here less than a seventh of one matrix of all pairs."""
    n, d, side = 4096, 32, 192
    g = torch.Generator().manual_seed(5)
    each = n // len(query)
    tables = {o: table(each, o, g, torch.float32) for o in query}
    for rows in tables.values():
        rows.z = F.normalize(torch.randn(each, d, generator=g), dim=1).requires_grad_()
    blocks, plan = setting(tables, query, keys, relation, 2.0)
    bound = 4 * (4 * 2 * n * d + 16 * 2 * n + 32 * side**2)
    peak = extra_peak(lambda: worth(LOSSES[loss], blocks, plan, 2.0, Engine("tiled", side)).backward())
    assert 4 * side**2 < peak < bound
    assert bound < 4 * n * n / 7
