"""What a source of keys must keep. It is driven as in training: by a method over an invented modality."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any, cast

import pytest
import safetensors.torch
import torch
from hypothesis import strategies as st
from torch import Tensor

from contrapose.methods.method import Method
from contrapose.sources.base import Source
from contrapose.testing.compare import must, same, stir, unmoved_randomness
from contrapose.testing.contract import NOTHING, Contract
from contrapose.testing.ddp import assert_ddp_equivalent
from contrapose.testing.draw import MISSING, ROWS, SEEDS, drawn
from contrapose.testing.toy import ToyEncoder, outputs, snapshot, step, toy_batch
from contrapose.types import IDENTITY, Batch, Rows

VIEWS = ("toy/query", "toy/key")
SAMPLES = 8


class SourceContract(Contract):
    """A source keeps its state where a checkpoint finds it, moves after a step alone, and is the same on all processes.

    The method that drives it has the branches ``query`` and ``key`` (its momentum twin), each of one view and 4 wide; samples have
    a ``label`` of 3 classes. The source's name is ``it``.

    Attributes:
        arguments: what it is made with, the tables that it is made of among them: ``{"of": "key"}``.
        tables: its tables, for a source that has several (``["query", "key"]`` for ``it.query`` and ``it.key``).
        sources: other sources that it needs, by name: ``{"queue": {"use": "queue", "of": "key", "size": 6}}``.
        term: more of the term that compares ``query`` with its tables, or other: ``{"similarity": "volume"}``.
    """

    kind = "source"
    tables: tuple[str, ...] = ("",)
    sources: Mapping[str, Any] = NOTHING
    term: Mapping[str, Any] = NOTHING

    def method(self, seed: int = 0) -> Method:
        """A method of two branches and one term whose keys are the source's tables."""
        branches = {
            "query": {"views": "query"},
            "key": {"views": "key", "of": "query", "weights": "ema", "momentum": 0.9},
        }
        term = {
            "query": "query",
            "keys": ["key", *self.refs],
            "positives": "same(sample) and origin(key)",
            "denominator": "all",
            **self.term,
        }
        torch.manual_seed(seed)
        encoders = {"toy": ToyEncoder()}
        with must("a method must take the source"):
            method = Method(branches, {"it": term}, encoders, {**self.sources, "it": self.node}, seed=seed)
        method.clock.start(steps_per_epoch=10, epochs=2)
        return method.double()

    @property
    def refs(self) -> list[str]:
        """Its tables as a term names them."""
        return [f"it.{t}" if t else "it" for t in self.tables]

    def trained(self, *counts: int, seed: int = 0) -> Method:
        """The method after a step on a batch of each of these sizes, at the beginning of whose epoch it was told of all samples."""
        method = self.method(seed)
        whole = toy_batch(VIEWS, SAMPLES, 99)
        if method.needs_epoch:
            method.epoch(lambda ref: method.table(whole, ref))
        for n, count in enumerate(counts):
            step(method, toy_batch(VIEWS, count, n))
        return method

    @cached_property
    def _ready(self) -> Method:
        """The method after two steps, for checks that only look."""
        return self.trained(4, 3)

    def source(self, method: Method) -> Source:
        """The source within the method."""
        return cast(Source, method.sources["it"])

    # -- checks ------------------------------------------------------------------------------------------------------

    def test_it_is_a_source(self) -> None:
        """A ``Source`` that names the tables it reads, and takes ``name``."""
        made = self.make(name="it")
        assert isinstance(made, Source), f"{type(made).__name__} must be a Source of contrapose.sources.base"
        assert made.refs, (
            "a source names the tables that it reads in refs: the first gives its width while it has no rows"
        )
        self.method()

    @drawn(rows=st.integers(1, 5), seed=SEEDS, missing=MISSING)
    def test_rows_are_as_declared(self, rows: int, seed: int, missing: set[int]) -> None:
        """As wide as ``width`` says, finite, with the identity columns and a value in each for every row."""
        method = self._ready
        out = outputs(method, toy_batch(VIEWS, rows, seed, {"toy/key": missing}))
        for ref in self.refs:
            made = out.rows(ref)
            self._check_rows(ref, made, method.width(ref))

    def test_before_there_is_anything_width_and_columns_are_kept(self) -> None:
        """Nothing seen yet and an empty batch: no rows, or rows as wide as ever, and a step that runs."""
        method = self.method()
        out = outputs(method, toy_batch(VIEWS, 0))
        for ref in self.refs:
            with must("a source must be able to say what it has before there is anything: None where it has nothing"):
                made = out.rows(ref)
            self._check_rows(ref, made, method.width(ref))

    @drawn(examples=6, sizes=st.lists(ROWS, min_size=1, max_size=5))
    def test_batches_may_be_of_any_size(self, sizes: list[int]) -> None:
        """None, one, more than it holds: every step runs, and what it offers stays finite."""
        method = self.trained(3, *sizes)
        out = outputs(method, toy_batch(VIEWS, 3, 50))
        for ref in self.refs:
            assert out.rows(ref).z.isfinite().all(), f"rows of {ref} must stay finite whatever the sizes of batches"

    def test_only_a_step_changes_it(self) -> None:
        """Asking for rows and scoring draw from no global state and leave its state alone: chunks and health checks ask often."""
        method, batch = self.trained(4), toy_batch(VIEWS, 4, 5)
        kept = snapshot(method)
        with unmoved_randomness("a source"):
            first = [outputs(method, batch).rows(ref).z.detach().clone() for ref in self.refs]
            again = [outputs(method, batch).rows(ref).z.detach().clone() for ref in self.refs]
        assert same(first, again), "the same step must get the same rows however often it asks"
        method(batch)
        assert same(kept, snapshot(method)), "state may change in commit and epoch alone, not when rows are asked for"

    def test_the_loss_never_meets_what_the_step_will_store(self) -> None:
        """What a source with a state offers before the loss doesn't depend on the vectors of the batch."""
        method = self.trained(4, 4)
        if not self._keeps(method):
            pytest.skip("it keeps nothing: its rows are made of the step's")
        batch = toy_batch(VIEWS, 4, 6)
        other = Batch(batch.sample, {n: _moved(v) for n, v in batch.views.items()}, batch.meta)
        for ref in self.refs:
            mine, theirs = (outputs(method, b).rows(ref).z for b in (batch, other))
            assert same(mine.detach(), theirs.detach()), (
                "rows must not hold the step's own keys before the loss: take them in commit, after it"
            )

    def test_its_state_is_saved_and_loaded(self) -> None:
        """``state_dict`` through safetensors into a new method, bit for bit: parameters and persistent buffers are all it has."""
        method, again = self.trained(4, 3), self.method(seed=1)
        file = self.folder / "method.safetensors"
        with must("state_dict must go through safetensors into another"):
            safetensors.torch.save_file({k: t.contiguous() for k, t in method.state_dict().items()}, file)
            again.load_state_dict(safetensors.torch.load_file(file))
        again.seed = method.seed
        stir(7)
        batch = toy_batch(VIEWS, 4, 7)
        for ref in self.refs:
            a, b = outputs(method, batch).rows(ref), outputs(again, batch).rows(ref)
            assert same((a.z.detach(), a.meta), (b.z.detach(), b.meta)), (
                f"{ref} is another after load_state_dict: keep state in parameters or persistent buffers alone"
            )

    def test_gradients_are_those_of_parameters(self) -> None:
        """Stored rows are constants; parameters of its own learn, or are frozen in this step."""
        method = self.trained(4, 3)
        source = self.source(method)
        own = {n: p for n, p in source.named_parameters() if p.requires_grad}
        out = outputs(method, toy_batch(VIEWS, 4, 8))
        if self._keeps(method) and not own:
            for ref in self.refs:
                assert not out.rows(ref).z.requires_grad, (
                    "stored rows are constants: commit and offer them without gradient"
                )
        frozen = {id(p) for p in source.frozen(method.clock)}
        assert frozen <= {id(p) for p in own.values()}, "frozen must list parameters of the source's own"
        _, grads = step(method, toy_batch(VIEWS, 4, 8))
        missed = [n for n, p in own.items() if id(p) not in frozen and f"sources.it.{n}" not in grads]
        assert not missed, f"no gradient reaches {', '.join(missed)}: rows must be in the graph of the parameters"

    def test_what_it_knows_of_rows_is_columns(self) -> None:
        """``annotate`` gives a value for each row of any table."""
        method = self.trained(4, 3)
        for rows in (outputs(method, toy_batch(VIEWS, n, 9)).rows("query") for n in (0, 3)):
            for name, column in self.source(method).annotate(rows).items():
                assert len(column) == len(rows), f"annotate gives {len(column)} values of {name!r} for {len(rows)} rows"

    def test_two_processes_train_as_one(self) -> None:
        """It takes what all processes have, so that it is the same on each, and gradients are those of one process."""
        assert_ddp_equivalent(self.trained(4), [toy_batch(VIEWS, 5, n, first=2 * n) for n in (1, 2)])

    def _keeps(self, method: Method) -> bool:
        kind = type(self.source(method))
        return kind.commit is not Source.commit or kind.epoch is not Source.epoch

    def _check_rows(self, ref: str, made: Rows, width: int) -> None:
        assert isinstance(made, Rows), f"rows gives Rows or None, not {type(made).__name__}"
        assert made.z.shape[-1] == width, f"rows of {ref} are {made.z.shape[-1]} wide, but width says {width}"
        assert made.z.isfinite().all(), f"rows of {ref} must be finite"
        count = tuple(made.z.shape[:2]) if made.private else (len(made),)
        lacking = [c for c in IDENTITY if c not in made.meta]
        assert not lacking, (
            f"rows of {ref} lack the identity columns {', '.join(lacking)}, by which rows are told apart"
        )
        for name, column in made.meta.items():
            found = tuple(column.shape[: len(count)])
            assert found == count, f"the column {name!r} of {ref} is {found}, but there are {count} rows"


def _moved(view: Any) -> Any:
    return type(view)(_other(view.data), view.modality, view.index, view.meta)


def _other(data: Tensor) -> Tensor:
    return data.flip(0) * 2 + 1
