"""VIME, SAINT and SubTab are worth what independent references say, values and gradients in float64, on one process and on two."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from tests.algebra import gradients
from tests.plugins.tabular.rows import BOTH, NUMBERS, Cellwise, batch
from tests.reference import formulas as ref
from tests.reference import tabular as tables
from torch import Tensor

from contrapose import Batch, ConfigError, Method
from contrapose.config import build
from contrapose.testing import assert_ddp_equivalent
from contrapose.types import ident
from contrapose_tabular.schema import Schema

SLOTS = {
    "vime": ["clean", "corrupted"],
    "saint": ["clean", "mixed"],
    "subtab": ["subset_0", "subset_1", "subset_2", "clean"],
}


def made(name: str, schema: Schema) -> Method:
    torch.manual_seed(0)
    data = build("method", {"use": f"tabular/{name}", **({"subsets": 3, "width": 5} if name == "subtab" else {})})
    encoders = {"tabular": Cellwise(len(schema.columns))}
    return Method.from_data(data, encoders, facts={"tabular": {"schema": schema}}).double()


class Step:
    """A method's tables on a batch, each view's rows in the order of the batch's samples."""

    def __init__(self, method: Method, given: Batch) -> None:
        self.method, self.given, self.tables = method, given, method.encode(given)

    def z(self, table: str, view: str) -> Tensor:
        """(samples, D), or (samples, positions, D)."""
        rows = self.tables[table]
        mine = rows.take((rows.meta["view"] == ident(f"tabular/{view}")).nonzero().flatten())
        return torch.stack([mine.z[mine.meta["sample"] == s] for s in self.given.sample])

    def cells(self, view: str, part: str) -> Tensor:
        one = self.given.views[f"tabular/{view}"]
        return one.data[part][one.index.argsort()]

    def loss(self, term: str) -> Any:
        return self.method.terms[term].loss


def vime(s: Step, schema: Schema) -> Tensor:
    z = s.z("online", "corrupted")[:, 0]
    clean, seen = (torch.cat([s.cells(v, p).double() for p in ("numeric", "categories")], 1) for v in SLOTS["vime"])
    mask, values = s.loss("mask").layer(z), s.loss("values").layer(z)
    if not schema.categorical:
        return ref.vime(clean, seen, mask, values, 2.0)
    # A choice among a column's codes in place of the squared error of its one-hot.
    f = len(schema.numeric)
    errors = [(values[:, :f] - clean[:, :f]) ** 2]
    for c, logits in enumerate(values[:, f:].split([column.size for column in schema.categorical], 1)):
        codes = s.cells("clean", "categories")[:, c]
        errors.append((logits.logsumexp(1) - logits[torch.arange(len(codes)), codes])[:, None])
    bce = ref.vime(clean, seen, mask, clean, 0.0)
    return bce + 2 * torch.cat(errors, 1).mean()


def saint(s: Step, schema: Schema) -> Tensor:
    states, head = s.z("mixed.dense", "mixed"), s.loss("denoising")
    hidden = [torch.relu(states[:, j] @ head.first[j] + head.shift[j]) for j in range(len(schema.columns))]
    f = len(schema.numeric)
    numbers = torch.cat([hidden[j] @ head.last[j] + head.level[j] for j in range(f)], 1)
    choices = [layer(h) for layer, h in zip(head.choices, hidden[f:], strict=True)]
    clean, mixed = s.z("clean", "clean")[:, 0], s.z("mixed", "mixed")[:, 0]
    return tables.saint(clean, mixed, numbers, s.cells("clean", "numeric"), choices, s.cells("clean", "categories"))


def subtab(s: Step, schema: Schema) -> Tensor:
    subsets = SLOTS["subtab"][:3]
    z, pooled = ([s.z(table, view)[:, 0] for view in subsets] for table in ("online", "online.pooled"))
    return tables.subtab(z, [s.loss("reconstruction").layer(h) for h in pooled], s.cells("clean", "numeric"))


CASES: dict[str, tuple[str, Schema, Callable[[Step, Schema], Tensor]]] = {
    "vime": ("vime", NUMBERS, vime),
    "vime with categories": ("vime", BOTH, vime),
    "saint": ("saint", BOTH, saint),
    "saint of numbers": ("saint", NUMBERS, saint),
    "subtab": ("subtab", NUMBERS, subtab),
}


@pytest.mark.parametrize("case", CASES)
def test_value_and_gradient(case: str) -> None:
    name, schema, reference = CASES[case]
    method, given = made(name, schema), batch(schema, SLOTS[name])
    expected = reference(Step(method, given), schema)
    found = method.loss(given).loss
    torch.testing.assert_close(found, expected, atol=1e-10, rtol=0)
    wanted = gradients(method, expected)
    for parameter, gradient in gradients(method, found).items():
        torch.testing.assert_close(gradient, wanted[parameter], atol=1e-10, rtol=0, msg=parameter)


@pytest.mark.parametrize("case", ["vime with categories", "saint", pytest.param("subtab", marks=pytest.mark.slow)])
def test_two_processes_equal_one(case: str) -> None:
    name, schema, _ = CASES[case]
    assert_ddp_equivalent(made(name, schema), [batch(schema, SLOTS[name], 9, seed) for seed in (0, 1)])


def test_what_is_missing_is_not_predicted_but_may_have_changed() -> None:
    method, given = made("vime", NUMBERS), batch(NUMBERS, SLOTS["vime"])
    before = method.loss(given).terms
    clean = given.views["tabular/clean"]
    clean.data["numeric"][clean.index == 2, 1] = torch.nan
    s = Step(method, given)
    values = s.loss("values").layer(s.z("online", "corrupted")[:, 0])
    errors = (values - s.cells("clean", "numeric")) ** 2
    after = method.loss(given).terms
    torch.testing.assert_close(after["values"], errors[~errors.isnan()].mean())
    assert after["mask"] != before["mask"] or (
        s.cells("corrupted", "numeric")[2, 1] != s.cells("clean", "numeric")[2, 1]
    )
    # Blank in both is unchanged, though NaN equals nothing.
    corrupted = given.views["tabular/corrupted"]
    corrupted.data["numeric"] = clean.data["numeric"][[clean.index.tolist().index(i) for i in corrupted.index.tolist()]]
    s = Step(method, given)
    logits = s.loss("mask").layer(s.z("online", "corrupted")[:, 0])
    torch.testing.assert_close(method.loss(given).terms["mask"], torch.nn.functional.softplus(logits).mean())


def test_samples_without_the_target_count_for_nothing() -> None:
    method, given = made("vime", BOTH), batch(BOTH, SLOTS["vime"])
    lacks, clean = given.take(torch.arange(7)), given.views["tabular/clean"]
    keep = clean.index != 3
    lacks.views["tabular/clean"].index = clean.index[keep]
    lacks.views["tabular/clean"].data = {part: cells[keep] for part, cells in clean.data.items()}
    rest = given.take(torch.tensor([0, 1, 2, 4, 5, 6]))
    torch.testing.assert_close(method.loss(lacks).loss, method.loss(rest).loss)


def test_messages() -> None:
    method, given = made("vime", BOTH), batch(BOTH, ["clean", "corrupted"])
    del given.views["tabular/clean"]
    with pytest.raises(ConfigError, match="no view is like 'clean'; there is tabular/corrupted"):
        method.loss(given)
    with pytest.raises(ConfigError, match="needs 'schema'"):
        Method.from_data(build("method", "tabular/vime"), {"tabular": Cellwise(5)})
    denoising = {"query": "mixed.pooled", "loss": {"use": "tabular/denoise", "target": "clean"}}
    pooled = build("method", "tabular/saint") | {"terms": {"denoising": denoising}}
    method = Method.from_data(pooled, {"tabular": Cellwise(5)}, facts={"tabular": {"schema": BOTH}}).double()
    with pytest.raises(ConfigError, match="has not a position for each of 5 columns"):
        method.loss(batch(BOTH, SLOTS["saint"], 7))
