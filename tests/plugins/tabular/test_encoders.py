from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from contrapose_tabular.encoders import MLP
from contrapose_tabular.modality import Tabular
from contrapose_tabular.schema import UNSEEN, Categorical, Numeric, Schema

SCHEMA = Schema((Numeric("a", 0, 1), Categorical("b", ("x", "y")), Numeric("c", 0, 1), Categorical("d", ("z",))))


def data(numeric: list[list[float]], categories: list[list[int]]) -> dict[str, Tensor]:
    return {"numeric": torch.tensor(numeric, dtype=torch.float32), "categories": torch.tensor(categories)}


def test_by_default_it_is_scarfs_network() -> None:
    encoder = MLP(SCHEMA)
    linears = [m for m in encoder.net if isinstance(m, nn.Linear)]
    assert [m.out_features for m in linears] == [256] * 4
    assert linears[0].in_features == 2 * 2 + (2 + 2) + (2 + 1)  # numbers and masks; categories, missing and unseen
    assert [type(m) for m in encoder.net] == [nn.Linear, nn.ReLU] * 4
    assert encoder.dims == {"pooled": 256}
    assert MLP(SCHEMA, layers=2, width=8)(data([[0, 0]], [[2, 2]]))["pooled"].shape == (1, 8)


def test_the_input_is_numbers_masks_and_one_hot() -> None:
    encoder = MLP(SCHEMA, layers=1, width=16)
    first = encoder.net[0]
    torch.nn.init.normal_(first.weight)
    row = data([[0.5, float("nan")]], [[3, 0]])
    by_hand = torch.tensor([[0.5, 0, 0, 1, 0, 0, 0, 1, 1, 0, 0.0]])
    torch.testing.assert_close(encoder(row)["pooled"], torch.relu(first(by_hand)))


def test_what_training_never_meets_adds_nothing() -> None:
    """An unseen word, and a blank where training had none, count as no word at all, however long one trains."""
    torch.manual_seed(0)
    encoder = MLP(SCHEMA, width=32)
    optimizer = torch.optim.SGD(encoder.parameters(), lr=0.1, weight_decay=0.1)
    rows = data([[0.5, 1.0], [-0.3, float("nan")], [0.1, 0.2]], [[2, 2], [3, 2], [0, 2]])
    for _ in range(3):
        optimizer.zero_grad()
        encoder(rows)["pooled"].square().sum().backward()
        optimizer.step()
    first = encoder.net[0].weight
    met = (first != 0).any(dim=0).tolist()
    #      numbers     masks        b: missing, unseen, x, y    d: missing, unseen, z
    assert met == [True, True, False, True, True, False, True, True, False, False, True]
    torch.testing.assert_close(encoder(data([[0.5, 1]], [[2, UNSEEN]])), encoder(data([[0.5, 1]], [[2, 0]])))


def test_activations_start_at_the_same_scale_in_every_layer() -> None:
    """However many categories there are: a row has as many inputs that aren't 0 as it has columns."""
    torch.manual_seed(1)
    many = Schema(
        (
            *(Numeric(f"n{i}", 0, 1) for i in range(10)),
            *(Categorical(f"c{i}", tuple(map(str, range(50)))) for i in range(10)),
        )
    )
    x = {"numeric": torch.randn(500, 10), "categories": torch.randint(2, 52, (500, 10))}
    pooled = MLP(many)(x)["pooled"]
    assert 0.4 < pooled.square().mean() < 2.5
    z = nn.functional.normalize(pooled)
    assert (z @ z.T).fill_diagonal_(0).mean() < 0.95  # rows can be told apart from the first step


@pytest.mark.parametrize("columns", [SCHEMA.numeric, SCHEMA.categorical, SCHEMA.columns])
@pytest.mark.parametrize("count", [0, 1, 5])
def test_any_number_of_rows_and_either_kind_of_column(columns: Any, count: int) -> None:
    schema = Schema(tuple(columns))
    encoder = MLP(schema, width=8)
    f, c = len(schema.numeric), len(schema.categorical)
    pooled = encoder({"numeric": torch.randn(count, f), "categories": torch.zeros(count, c, dtype=torch.int64)})[
        "pooled"
    ]
    assert pooled.shape == (count, 8)
    pooled.sum().backward()
    assert all(p.grad is not None for p in encoder.parameters())


def test_it_reads_what_the_modality_collates(modality: Tabular, cells: list[dict[str, Any]]) -> None:
    encoder = MLP(**modality.facts(), layers=2, width=8)
    batch = modality.collate([modality.load(c, Path()) for c in cells[:30]])
    kept = batch["numeric"].clone()
    assert encoder(batch)["pooled"].isfinite().all()
    torch.testing.assert_close(batch["numeric"], kept, equal_nan=True)
