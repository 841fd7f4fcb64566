"""What a loss must keep. It is driven as in training: by a method, over a toy encoder."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
import torch
from hypothesis import strategies as st
from torch import Tensor, nn

from contrapose.losses.engine import Engine
from contrapose.losses.head import HeadLoss
from contrapose.losses.pair import PairLoss
from contrapose.losses.sets import SetLoss
from contrapose.methods.method import Method
from contrapose.testing.compare import must, same
from contrapose.testing.contract import NOTHING, Contract
from contrapose.testing.draw import TILES, drawn, orders
from contrapose.types import Batch, ViewBatch, tree_map

FEATURES, WIDTH, COUNT = 5, 4, 6
STEP, PROBES = 1e-6, 12
TOY = "toy"


class LossContract(Contract):
    """A loss is finite, has the gradient of its value, and depends neither on the order of rows nor on the tiling of pairs.

    Views of the toy data are ``toy/a``, ``toy/b``, ...: rows of 5 features.

    Attributes:
        term: more of the term that drives the loss, or other: ``{"positives": "same(label)"}``. ``label`` is one of 3 classes.
        detaches: True for a loss that takes part of its value as a constant, so that its gradient isn't that of its value.
    """

    kind = "loss"
    term: Mapping[str, Any] = NOTHING
    detaches: bool = False

    def method(self, dtype: torch.dtype = torch.float64, **more: Any) -> Method:
        """A method of one branch and one term with this loss."""
        loss = self.make()
        term: dict[str, Any] = {"loss": self.node, "query": "online"}
        if isinstance(loss, PairLoss):
            term |= {
                "keys": ["online"],
                "positives": "same(sample) and not self",
                "denominator": "not self",
                "tau": 0.5,
            }
        elif isinstance(loss, SetLoss):
            term["query"] = [f"online/{slot}" for slot in self._slots]
        torch.manual_seed(0)
        data = {"branches": {"online": {"views": "*"}}, "terms": {"it": term | dict(self.term) | more}}
        return Method.from_data(data, {TOY: _Toy()}).to(dtype)

    @property
    def _slots(self) -> list[str]:
        loss = self.make()
        return [chr(ord("a") + i) for i in range(loss.tables if isinstance(loss, SetLoss) else 2)]

    def batch(self, count: int = COUNT, dtype: torch.dtype = torch.float64, without: Sequence[str] = ()) -> Batch:
        """A batch with all views; nobody has those ``without``. With ``method``, what a loss on other data overrides."""
        draw = torch.Generator().manual_seed(1)
        views = {}
        for slot in self._slots:
            data = torch.randn(count, FEATURES, generator=draw, dtype=torch.float64).to(dtype)
            index = torch.arange(0 if slot in without else count)
            views[f"{TOY}/{slot}"] = ViewBatch(data if len(index) else None, TOY, index)
        return Batch(torch.arange(count) + 10, views, {"label": torch.arange(count) % 3})

    # -- checks ------------------------------------------------------------------------------------------------------

    def test_it_is_a_loss(self) -> None:
        """A pair, set or head loss that a method takes."""
        loss = self.make()
        assert isinstance(loss, (PairLoss, SetLoss, HeadLoss)), (
            f"{type(loss).__name__} must be a PairLoss, SetLoss or HeadLoss of contrapose.losses"
        )
        with must("a method must take the loss"):
            self.method()
        with must(
            "a loss must be picklable, as other processes get it: define what it is made of at the top of a module"
        ):
            pickle.loads(pickle.dumps(loss))

    def test_value_and_gradient_are_finite(self) -> None:
        """On random rows, on a collapsed table, and on long vectors under a small temperature."""
        sharp = {"tau": 0.01} if isinstance(self.make(), PairLoss) else {}
        for dtype in (torch.float32, torch.float64):
            for name, change, more in (
                ("random", lambda x: x, {}),
                ("equal", lambda x: x[:1].expand(x.shape).clone(), {}),
                ("large", lambda x: 30 * x if x.is_floating_point() else x, sharp),
            ):
                batch = self.batch(dtype=dtype)
                for view in batch.views.values():
                    view.data = tree_map(change, view.data)
                method = self.method(dtype, **more)
                value, grads = _step(method, batch)
                shape = tuple(method(batch).terms["it"].shape)
                assert not shape, f"a loss gives one number, not {shape}: take the mean"
                assert value.isfinite(), f"the loss of {name} rows in {dtype} is {value:g}: it must be finite"
                broken = [n for n, g in grads.items() if not g.isfinite().all()]
                assert not broken, f"the gradient of {name} rows in {dtype} must be finite: no 0/0, no root of 0"

    def test_the_gradient_is_that_of_the_value(self) -> None:
        """Against finite differences in float64."""
        if self.detaches:
            pytest.skip("this class says detaches = True")
        method, batch = self.method(), self.batch()
        _, grads = _step(method, batch)
        draw = torch.Generator().manual_seed(2)
        for name, p in method.named_parameters():
            flat = p.data.view(-1)
            for i in torch.randperm(len(flat), generator=draw)[:PROBES].tolist():
                sides, kept = [], flat[i].item()
                for step in (STEP, -STEP):
                    flat[i] = kept + step
                    sides.append(method(batch).loss.item())
                flat[i] = kept
                slope, found = (sides[0] - sides[1]) / (2 * STEP), grads[name].view(-1)[i].item()
                assert abs(slope - found) <= 1e-6 + 1e-4 * abs(slope), (
                    f"the gradient is {found:.6g} where the value rises by {slope:.6g}: mend it, or say detaches = True"
                )

    @drawn(examples=5, order=orders(COUNT))
    def test_the_order_of_rows_does_not_matter(self, order: list[int]) -> None:
        """Samples in another order have the same loss and gradients."""
        batch = self.batch()
        one = _step(self.method(), batch)
        other = _step(self.method(), batch.take(torch.tensor(order)))
        assert same(one, other, 1e-9), "the loss must not depend on the order of its rows"

    @drawn(rows=st.integers(1, COUNT), side=TILES)
    def test_tiles_give_what_dense_gives(self, rows: int, side: int) -> None:
        """A pair loss visited in tiles has the same value and gradients."""
        if not isinstance(self.make(), PairLoss):
            pytest.skip("only pairs are tiled")
        dense, tiled = self.method(), self.method()
        tiled.engine = Engine("tiled", side)
        with must("a pair loss must work in tiles"):
            found = _step(tiled, self.batch(rows))
        assert same(_step(dense, self.batch(rows)), found, 1e-9), (
            "tiles must give what all pairs at once give: parts() may only name reductions over the keys that it is shown"
        )

    def test_few_rows_are_enough(self) -> None:
        """Anchors without a positive, a lone row, two rows: finite, with a gradient; 0 where there is nothing to compare."""
        loss = self.make()
        if isinstance(loss, PairLoss):
            value, grads = _step(self.method(), self.batch(without=self._slots[1:]))
            assert _finite(value, grads), (
                "anchors without a positive must not make the loss infinite: 0/0 of no weights?"
            )
            value, grads = _step(self.method(), self.batch(1, without=self._slots[1:]))
            assert _finite(value, grads), "an anchor without any key must not make the loss infinite"
            assert value == 0, (
                f"an anchor without any key has no loss, but here it is {value:g}: finish() must say it has none"
            )
        else:
            value, grads = _step(self.method(), self.batch(2))
            assert _finite(value, grads), "the loss of two samples must be finite"

    def test_no_rows_are_a_finite_zero(self) -> None:
        """0 samples give 0 with every parameter in the graph, so that processes without a row keep step."""
        method = self.method()
        with must("a loss must accept 0 rows"):
            value, grads = _step(method, self.batch(0))
        assert value == 0, f"the loss of no rows must be 0, not {value:g}: a mean over none?"
        assert all(g.isfinite().all() for g in grads.values()), "the gradient of no rows must be finite"
        missed = [n for n, p in method.named_parameters() if p.requires_grad and n not in grads]
        assert not missed, (
            f"no rows must keep {', '.join(missed)} in the graph: multiply nothing, don't return a constant"
        )

    def test_tables_and_batch_stay_as_they_are(self) -> None:
        """Other terms read them too."""
        method, batch = self.method(), self.batch()
        tables = method.encode(batch)
        before = copy.deepcopy(({n: rows.z.detach() for n, rows in tables.items()}, batch))
        method.score(tables, batch)
        after = ({n: rows.z.detach() for n, rows in tables.items()}, batch)
        assert same(before, after), "a loss must not write into its rows or its batch: use new tensors"


class _Toy(nn.Module):
    """(n, features) to ``pooled`` (n, width)."""

    modality = TOY

    def __init__(self) -> None:
        super().__init__()
        self.dims = {"pooled": WIDTH}
        self.linear = nn.Linear(FEATURES, WIDTH, bias=False)

    def forward(self, data: Tensor) -> dict[str, Tensor]:
        return {"pooled": self.linear(data)}


def _step(method: Method, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
    """The loss, and the gradients of the parameters that it reaches."""
    method.zero_grad()
    value = method(batch).loss
    assert value.requires_grad, "the loss must be in the graph of its rows: compute it with torch, detach nothing"
    value.backward()
    return value.detach(), {n: p.grad for n, p in method.named_parameters() if p.grad is not None}


def _finite(value: Tensor, grads: Mapping[str, Tensor]) -> bool:
    return bool(value.isfinite()) and all(bool(g.isfinite().all()) for g in grads.values())
