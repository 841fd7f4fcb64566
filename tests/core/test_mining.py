"""TopK and what it needs of the language of relations: the column ``self``, and columns of many values."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.algebra import TWO, Net, batch
from torch import Tensor

from contrapose import Method
from contrapose.errors import ConfigError
from contrapose.relations import mining
from contrapose.relations.mining import TopK
from contrapose.relations.predicate import Tile, parse
from contrapose.types import Rows, ident

NAMES = frozenset(TWO)


def rows(origin: str, count: int, seed: int, samples: int = 5, dim: int = 3) -> Rows:
    """Random unit vectors of random samples and views."""
    g = torch.Generator().manual_seed(seed)
    z = torch.nn.functional.normalize(torch.randn(count, dim, generator=g, dtype=torch.float64), dim=1)
    meta = {
        "origin": torch.full((count,), ident(origin)),
        "sample": torch.randint(0, samples, (count,), generator=g),
        "view": torch.tensor([ident(v) for v in TWO])[torch.randint(0, 2, (count,), generator=g)],
        "position": torch.arange(count),
        "draw": torch.zeros(count, dtype=torch.int64),
    }
    return Rows(z, meta, ready=True)


class Tables:
    """What a relation asks of a step."""

    names = NAMES

    def __init__(self, **tables: Rows) -> None:
        self.tables = tables

    def rows(self, ref: str, scope: str = "local") -> Rows:
        return self.tables[ref]

    def prepared(self, rows: Rows, normalize: bool = True) -> Tensor:
        return rows.z


def brute(q: Rows, speakers: Rows, pools: list[Rows], count: int, above: float) -> list[set[tuple[int, int]]]:
    """(table, row) of what each anchor finds, among the keys that are of another sample."""
    found = []
    for sample in q.meta["sample"].tolist():
        mine = speakers.z[speakers.meta["sample"] == sample]
        scores = {
            (t, j): float((mine @ pool.z[j]).max())
            for t, pool in enumerate(pools)
            for j in range(len(pool))
            if len(mine) and int(pool.meta["sample"][j]) != sample
        }
        best = sorted(scores, key=lambda at: -scores[at])[:count]
        found.append({at for at in best if scores[at] > above})
    return found


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_top_k_finds_the_very_rows_that_brute_force_finds(data: Any) -> None:
    sizes = [data.draw(st.integers(0, 12)) for _ in range(4)]
    seed, count = data.draw(st.integers(0, 99)), data.draw(st.integers(1, 6))
    above, block = data.draw(st.sampled_from([-2.0, 0.0, 0.6, 2.0])), data.draw(st.sampled_from([1, 4, 100]))
    q, speakers, *pools = (rows(name, n, 7 * seed + i) for i, (name, n) in enumerate(zip("qsab", sizes, strict=True)))
    out = Tables(s=speakers, a=pools[0], b=pools[1])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mining, "BLOCK", block)
        made = TopK("s", ["a", "b"], count, above).column(q, out)  # type: ignore[arg-type]
        samples = TopK("s", ["a", "b"], count, above, give="sample").column(q, out)  # type: ignore[arg-type]
    assert made.shape == samples.shape == (len(q), count)
    annotated = q.with_columns(mined=made)
    hits = [parse("same(mined, to=self)")(Tile(annotated, p, NAMES)).expand(len(q), len(p)) for p in pools]
    wanted = brute(q, speakers, pools, count, above)
    for i in range(len(q)):
        assert {(t, int(j)) for t, hit in enumerate(hits) for j in hit[i].nonzero()} == wanted[i]
        assert sorted(samples[i][samples[i] >= 0].tolist()) == sorted(
            int(pools[t].meta["sample"][j]) for t, j in wanted[i]
        )


def test_top_k_gives_the_nearest_first_and_obeys_within() -> None:
    q, keys = rows("q", 3, 0), rows("k", 9, 1)
    out = Tables(q=q, k=keys)
    column = TopK("q", ["k"], 9, within="view(b)", give="position").column(q, out)  # type: ignore[arg-type]
    of_b = int((keys.meta["view"] == ident(TWO[1])).sum())
    assert 0 < of_b < 9
    assert ((column >= 0).sum(1) == of_b).all()
    for i in range(3):
        mine = q.z[q.meta["sample"] == q.meta["sample"][i]]
        s = (mine @ keys.z[column[i, :of_b]].T).amax(0)
        assert torch.equal(s, s.sort(descending=True).values)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"count": 0}, "at least 1"),
        ({"count": 2, "keys": []}, "at least one table"),
        ({"count": 2, "keys": ["onlin"]}, "did you mean 'online'"),
        ({"count": 2, "give": "lable"}, "did you mean 'label'"),
        ({"count": 2, "keys": ["mixes"]}, "private"),
        ({"count": 2, "within": "sam(sample)"}, "did you mean 'same'"),
    ],
)
def test_top_k_says_what_is_wrong(arguments: dict[str, Any], says: str) -> None:
    node = {"use": "top-k", "query": "online", "keys": ["online"]} | arguments
    data = {
        "branches": {"online": {"views": "*"}},
        "sources": {"mixes": {"use": "hardest-mixes", "query": "online", "of": "online"}},
        "terms": {"t": {"query": "online", "keys": ["online"], "annotate": {"found": node}}},
    }
    with pytest.raises(ConfigError, match=says) as caught:
        Method.from_data(data, {"pulse": Net("pulse")}).double().loss(batch(TWO))
    assert caught.value.path[:3] == ("method", "terms", "t")


def test_the_column_self_is_the_identity() -> None:
    """It says what the atom ``self`` says, unknown parts and columns of that name included."""
    q = rows("q", 40, 3, samples=2)
    for column in ("position", "draw"):
        q.meta[column] = q.meta[column] % 3
    q.meta["sample"][5] = q.meta["view"][9] = -1
    tile = Tile(q, q, NAMES)
    same = parse("same(self)")(tile)
    assert torch.equal(same, parse("self")(tile))
    assert same.sum() > 40
    assert not same[5].any()
    assert torch.equal(parse("same(self)")(Tile(Rows(q.z, q.meta | {"self": torch.zeros(40)}), q, NAMES)), same)
    private = Rows(q.z[None].expand(40, -1, -1), {c: v[None].expand(40, -1) for c, v in q.meta.items()}, private=True)
    assert torch.equal(parse("same(self)")(Tile(q, private, NAMES)), same)


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_many_valued_columns_are_compared_value_by_value(data: Any) -> None:
    n, m, p, r = (data.draw(st.integers(0, 4)) for _ in range(4))
    g = torch.Generator().manual_seed(data.draw(st.integers(0, 99)))
    x, y = (torch.randint(-1, 4, (*shape,), generator=g) for shape in ((n, p), (m, r)))
    one = y[:, 0] if r else torch.full((m,), -1)
    q, k, k1 = (Rows(torch.zeros(len(c), 2), {"c": c}) for c in (x, y, one))
    for keys, values in ((k, y.tolist()), (k1, [[v] for v in one.tolist()])):
        hit = parse("same(c)")(Tile(q, keys, NAMES)).expand(n, m)
        assert hit.tolist() == [[bool({*a} & {*b} - {-1}) for b in values] for a in x.tolist()]
