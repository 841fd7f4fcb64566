"""The language of relations: what it accepts, what it means, and what it says when it's wrong."""

from __future__ import annotations

import pytest
import torch

from contrapose.errors import ConfigError
from contrapose.relations.predicate import Tile, parse
from contrapose.types import Rows, ident, matches

VIEWS = ("pulse/a", "pulse/b")


def rows(origin: str, sample: list[int], view: list[str], **columns: object) -> Rows:
    n = len(sample)
    meta = {
        "origin": torch.full((n,), ident(origin)),
        "sample": torch.tensor(sample),
        "view": torch.tensor([ident(v) for v in view]),
        "position": torch.zeros(n, dtype=torch.int64),
        "draw": torch.zeros(n, dtype=torch.int64),
    }
    return Rows(torch.zeros(n, 2), meta | {k: torch.tensor(v) for k, v in columns.items()})


Q = rows(
    "q", [0, 1, 2], ["pulse/a"] * 3, label=[5, 5, -1], time=[0.0, 1.0, float("nan")], tags=[[1, 2], [3, -1], [-1, -1]]
)
K = rows(
    "k", [0, 1, 2], ["pulse/b"] * 3, label=[5, 6, -1], time=[0.5, 1.0, float("nan")], tags=[[2, 9], [4, 3], [-1, 7]]
)


def pairs(text: str, q: Rows = Q, k: Rows = K, positive: torch.Tensor | None = None) -> list[list[int]]:
    hit = parse(text)(Tile(q, k, frozenset(VIEWS), positive)).expand(len(q), len(k))
    return [[int(j) for j in row.nonzero()] for row in hit]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("all", [[0, 1, 2]] * 3),
        ("same(sample)", [[0], [1], [2]]),
        ("not same(sample)", [[1, 2], [0, 2], [0, 1]]),
        ("same(label)", [[0], [0], []]),  # -1 equals nothing, not even -1
        ("same(tags)", [[0], [1], []]),  # any of the values
        ("same(sample, to=position)", [[0, 1, 2], [], []]),
        ("near(time, 0.5)", [[0], [0, 1], []]),  # NaN is near to nothing
        ("origin(k)", [[0, 1, 2]] * 3),
        ("origin(queue)", [[], [], []]),
        ("view(b)", [[0, 1, 2]] * 3),
        ("view(pulse/a)", [[], [], []]),
        ("view(*)", [[0, 1, 2]] * 3),
        ("self", [[], [], []]),
        ("same(sample) or same(label) and not origin(k)", [[0], [1], [2]]),
        ("(same(sample) or same(label)) and not origin(k)", [[], [], []]),
        ("not (same(sample) or same(label))", [[1, 2], [2], [0, 1]]),
    ],
)
def test_meaning(text: str, wanted: list[list[int]]) -> None:
    assert pairs(text) == wanted


def test_self_is_the_whole_identity() -> None:
    assert pairs("self", Q, Q) == [[0], [1], [2]]
    stale = rows("queue", [0, 1, 2], ["pulse/a"] * 3)
    assert pairs("self", Q, stale) == [[], [], []]
    assert pairs("same(sample)", Q, stale) == [[0], [1], [2]]


def test_positive_reads_what_the_relation_found() -> None:
    found = torch.eye(3, dtype=torch.bool)
    assert pairs("not positive", positive=found) == [[1, 2], [0, 2], [0, 1]]
    with pytest.raises(ConfigError, match="denominator"):
        pairs("positive")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("sam(sample)", "unknown word 'sam'; did you mean 'same'?"),
        ("same(sample", "too early"),
        ("same sample", "expected '\\('"),
        ("same(sample) and", "too early"),
        ("same(sample) same(label)", "not expected at column 14"),
        ("near(time)", "near takes"),
        ("near(time, soon)", "'soon' is not a number"),
        ("same(a, from=b)", "one name"),
        ("__import__(os)", "unknown word"),
        ("", "too early"),
    ],
)
def test_what_is_wrong_is_said(text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        parse(text)


def test_an_unknown_column_is_named_with_its_neighbour() -> None:
    with pytest.raises(ConfigError, match=r"'lable'.*did you mean 'label'.*meta:"):
        pairs("same(lable)")


def test_globs_speak_of_the_slot_unless_they_have_a_slash() -> None:
    assert matches("pulse/global_0", ["global_*"])
    assert matches("pulse/global_0", ["pulse/*"])
    assert not matches("pulse/global_0", ["image/*"])
    assert not matches("global/local_0", ["global*"])
