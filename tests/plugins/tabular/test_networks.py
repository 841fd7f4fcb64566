"""The encoders beside SCARF's: blanks, unseen words, tables that lack a kind of column, wide ones, and mixed rows."""

from __future__ import annotations

import json
import sys
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from contrapose import ConfigError
from contrapose_tabular.encoders import MLP
from contrapose_tabular.infer import infer
from contrapose_tabular.inputs import Categories
from contrapose_tabular.quantiles import BINS, MOST, Quantiles
from contrapose_tabular.resnet import ResNet
from contrapose_tabular.schema import MISSING, UNSEEN, Categorical, Numeric, Schema
from contrapose_tabular.transformer import FTTransformer, Tokens, bins

NUMBERS = (Numeric("a", 0, 1, quantiles=(-1.0, 0.0, 0.0, 2.0)), Numeric("c", 0, 1, quantiles=(3.0, 3.0, 3.0, 3.0)))
WORDS = (Categorical("b", ("x", "y")), Categorical("d", ("z",)))
SCHEMA = Schema((NUMBERS[0], WORDS[0], NUMBERS[1], WORDS[1]))
ENCODERS: dict[str, Any] = {
    "mlp": lambda schema: MLP(schema, layers=2, width=8),
    "resnet": lambda schema: ResNet(schema, width=8, categories=4),
    "linear": lambda schema: FTTransformer(schema, 1, 8, 2),
    "periodic": lambda schema: FTTransformer(schema, 1, 8, 2, numbers="periodic"),
    "piecewise": lambda schema: FTTransformer(schema, 2, 8, 2, numbers="piecewise", dense=True),
}
EACH = pytest.mark.parametrize("name", ENCODERS)


def data(schema: Schema, count: int, seed: int = 0) -> dict[str, Tensor]:
    draw = torch.Generator().manual_seed(seed)
    codes = [torch.randint(column.size, (count, 1), generator=draw) for column in schema.categorical]
    numeric = torch.randn(count, len(schema.numeric), generator=draw)
    numeric[torch.rand(numeric.shape, generator=draw) < 0.2] = torch.nan
    return {
        "numeric": numeric,
        "categories": torch.cat(codes, 1) if codes else torch.zeros(count, 0, dtype=torch.int64),
    }


@EACH
@pytest.mark.parametrize("columns", [NUMBERS, WORDS, SCHEMA.columns], ids=["no words", "no numbers", "both"])
@pytest.mark.parametrize("count", [0, 2, 5])
def test_any_number_of_rows_and_either_kind_of_column(name: str, columns: Any, count: int) -> None:
    schema = Schema(tuple(columns))
    encoder = ENCODERS[name](schema)
    taps = encoder(data(schema, count))
    assert {tap: t.shape[-1] for tap, t in taps.items()} == dict(encoder.dims)
    assert taps["pooled"].shape == (count, 8)
    assert all(t.isfinite().all() for t in taps.values())
    sum(t.sum() for t in taps.values()).backward()
    assert all(p.grad is not None for p in encoder.parameters())
    assert encoder.training


@pytest.mark.parametrize(
    "name", ["mlp", "resnet", "linear", *(pytest.param(n, marks=pytest.mark.slow) for n in ("periodic", "piecewise"))]
)
def test_ten_thousand_categories_and_two_thousand_columns(name: str) -> None:
    many = Schema((*NUMBERS, Categorical("city", tuple(map(str, range(10_000))))))
    assert (
        ENCODERS[name](many)({**data(many, 3), "categories": torch.tensor([[0], [1], [10_001]])})["pooled"]
        .isfinite()
        .all()
    )
    wide = Schema(
        (
            *(Numeric(f"n{i}", 0, 1, quantiles=(0.0, 1.0, 2.0)) for i in range(1000)),
            *(Categorical(f"c{i}", ("x",)) for i in range(1000)),
        )
    )
    with torch.no_grad():
        assert ENCODERS[name](wide)(data(wide, 2))["pooled"].isfinite().all()


@pytest.mark.parametrize("name", ["resnet", "linear"])
def test_an_unseen_word_counts_as_a_blank_that_training_never_had(name: str) -> None:
    torch.manual_seed(0)
    encoder = ENCODERS[name](SCHEMA).eval()
    row = {"numeric": torch.tensor([[0.5, 1.0]] * 3), "categories": torch.tensor([[2, MISSING], [2, UNSEEN], [2, 2]])}
    blank, unseen, word = encoder(row)["pooled"]
    torch.testing.assert_close(blank, unseen)
    assert not torch.allclose(blank, word)


@EACH
def test_mixed_rows_are_mixed_once_they_are_embedded(name: str) -> None:
    torch.manual_seed(0)
    encoder = ENCODERS[name](SCHEMA).eval()
    one, two = data(SCHEMA, 4, 1), data(SCHEMA, 4, 2)
    other = {f"with_{part}": cells for part, cells in two.items()}

    def pooled(share: float) -> Tensor:
        return encoder({**one, **other, "share": torch.full((4,), share)})["pooled"]

    torch.testing.assert_close(pooled(1.0), encoder(one)["pooled"])
    torch.testing.assert_close(pooled(0.0), encoder(two)["pooled"])
    assert not torch.allclose(pooled(0.3), pooled(0.7), atol=1e-3)


def test_tokens_are_by_hand() -> None:
    torch.manual_seed(0)
    tokens = Tokens(SCHEMA, 6, "linear")
    torch.nn.init.normal_(tokens.missing)
    made = tokens(torch.tensor([[2.0, torch.nan]]), torch.tensor([[3, 2]]))[0]
    torch.testing.assert_close(made[0], 2 * tokens.numbers.weight[0] + tokens.numbers.bias[0])
    torch.testing.assert_close(made[1], tokens.missing[1])
    table = tokens.categories.table
    torch.testing.assert_close(made[2], table[3] + tokens.column[0])
    torch.testing.assert_close(made[3], table[4 + 2] + tokens.column[1])


def test_dense_gives_what_the_library_gives() -> None:
    """The class token's state, but for its being normalised, is the backbone's own."""
    torch.manual_seed(0)
    encoder = FTTransformer(SCHEMA, 3, 8, 2, dense=True).eval()
    given = data(SCHEMA, 5)
    taps = encoder(given)
    encoder.dense = False
    torch.testing.assert_close(taps["pooled"], encoder(given)["pooled"])
    states = torch.cat([taps["pooled"][:, None], taps["dense"]], 1)
    torch.testing.assert_close(taps["flat"], torch.nn.functional.normalize(states, dim=-1).flatten(1))


def test_edges_are_the_training_splits_quantiles() -> None:
    assert [edges.tolist() for edges in bins(SCHEMA)] == [[-1.0, 0.0, 2.0], [3.0, 4.0]]
    cells = [{"x": float(i * i), "same": 1} for i in range(200)]
    schema = infer(cells)
    again = Schema.from_json(json.loads(json.dumps(schema.to_json())))
    assert again == schema
    assert [c.quantiles for c in again.numeric] == [c.quantiles for c in schema.numeric]
    x, same = (torch.tensor(column.quantiles, dtype=torch.float64) for column in schema.numeric)
    assert len(x) == BINS + 1
    values = torch.tensor([row["x"] for row in cells], dtype=torch.float64)
    torch.testing.assert_close(
        x * schema.numeric[0].std + schema.numeric[0].mean,
        values.quantile(torch.linspace(0, 1, BINS + 1, dtype=torch.float64)),
    )
    assert same.unique().tolist() == [0.0]
    with pytest.raises(ConfigError, match="column 'a' has no quantiles: the schema is of an older version"):
        FTTransformer(Schema((Numeric("a", 0, 1),)), 1, 8, 2, numbers="piecewise")


def test_quantiles_of_more_numbers_than_are_kept() -> None:
    """Whatever the parts they come in; the ends are those of all."""
    numbers = np.random.default_rng(0).exponential(size=5 * MOST)
    found = []
    for size in (1000, 777_777):
        quantiles = Quantiles()
        for start in range(0, len(numbers), size):
            quantiles.add(numbers[start : start + size])
        found.append(quantiles.edges())
        assert sum(map(len, quantiles._kept)) <= MOST
    np.testing.assert_array_equal(*found)
    np.testing.assert_allclose(found[0][1:-1], np.quantile(numbers, np.linspace(0, 1, BINS + 1))[1:-1], rtol=0.05)
    assert (found[0][0], found[0][-1]) == (numbers.min(), numbers.max())


def test_what_is_never_met_starts_at_nothing() -> None:
    table = Categories(SCHEMA, 4).table
    assert [bool(row.any()) for row in table] == [False, False, True, True, False, False, True]


def test_a_library_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rtdl_revisiting_models", None)
    for make in (ResNet, FTTransformer):
        with pytest.raises(
            ConfigError, match=r"needs rtdl_revisiting_models: pip install 'contrapose-tabular\[rtdl\]'"
        ):
            make(SCHEMA)
    with pytest.raises(ConfigError, match="is a multiple of heads, 8, not 12"):
        FTTransformer(SCHEMA, width=12)
