"""What a relation must keep: an assigner, an annotator, or a weigher. It is driven as in training, over an invented modality."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import safetensors.torch
import torch

from contrapose.methods.method import Method
from contrapose.methods.outputs import Outputs
from contrapose.relations.relation import Annotator, Assigner, PredicatePlan, Weigher
from contrapose.testing.compare import must, same, unmoved_randomness
from contrapose.testing.contract import NOTHING, Contract
from contrapose.testing.draw import MISSING, ROWS, SEEDS, TILES, drawn, orders
from contrapose.testing.plans import Watched, by_identity, slices, values, whole
from contrapose.testing.toy import ToyEncoder, outputs, snapshot, step, toy_batch

VIEWS = ("toy/a", "toy/b")
COUNT = 5
CLOSE = 1e-9


class RelationContract(Contract):
    """A relation gives finite weights, equal for any tiling, of the tables that it declares, and keeps its state in buffers.

    The method that drives it has the branches ``online`` and ``other`` (its momentum twin) of views ``a`` and ``b``, ``places`` and
    ``other_places`` of their 3 positions, and the sources ``queue`` (of ``other``) and ``prototypes``; all are 4 wide, and samples
    have a ``label`` of 3 classes. An assigner stands under ``positives``, an annotator gives the column ``found``.

    Attributes:
        arguments: what it is made with, the tables that it reads among them: ``{"query": "online", "keys": ["queue"]}``.
        term: more of the term, or other: ``{"query": "places", "positives": "same(found, to=position)"}``.
    """

    kind = "relation"
    term: Mapping[str, Any] = NOTHING

    def make(self, **facts: Any) -> Any:
        """The relation, anew; an assigner is told its link."""
        return super().make(link="same(sample) and not same(view)", **facts)

    def method(self, seed: int = 0) -> Method:
        """A method with one term that the relation is part of."""
        made = self.make()
        branches = {
            "online": {"views": "a"},
            "other": {"views": "b", "of": "online", "weights": "ema", "momentum": 0.9},
            "places": {"views": "a", "of": "online", "tap": "dense"},
            "other_places": {"views": "b", "of": "online", "weights": "ema", "momentum": 0.9, "tap": "dense"},
        }
        sources = {
            "queue": {"use": "queue", "of": "other", "size": 6},
            "prototypes": {"use": "prototypes", "of": "online", "count": 4},
        }
        term: dict[str, Any] = {"query": "online", "keys": ["other", "queue"], "positives": "same(sample)"}
        if isinstance(made, Assigner):
            term |= {"keys": ["prototypes"], "positives": {"assign": self.node}}
        elif isinstance(made, Annotator):
            term |= {"positives": "same(sample) or same(found, to=self)", "annotate": {"found": self.node}}
        elif isinstance(made, Weigher):
            term |= {"attract": self.node}
        torch.manual_seed(seed)
        everything = {"query": "places", "keys": ["other_places", "prototypes"], "positives": "same(sample)"}
        terms = {"it": {**term, "denominator": "all", **self.term}, "rest": {**everything, "denominator": "all"}}
        with must("a term must take the relation"):
            method = Method(branches, terms, {"toy": ToyEncoder()}, sources)
        method.clock.start(steps_per_epoch=10, epochs=2)
        return method.double()

    def trained(self, steps: int = 2) -> Method:
        """The method after some steps."""
        method = self.method()
        for n in range(steps):
            step(method, toy_batch(VIEWS, COUNT, n))
        return method

    @cached_property
    def ready(self) -> Method:
        """The method after some steps, for checks that only look."""
        return self.trained()

    def plan(self, method: Method, out: Outputs, seen: Any = None) -> PredicatePlan:
        """The relation bound to a step, of which it sees ``seen``."""
        term: Any = method.terms["it"]
        keys = [out.rows(k.rows, "global") for k in term.keys]
        with must("a relation must accept any tables"):
            made: PredicatePlan = term.relation.plan(out.query(term.query), keys, seen or out)
        return made

    def part(self, method: Method) -> Any:
        """The relation within the method."""
        relation: Any = method.terms["it"].relation
        return relation.assigner or relation.attract or relation.annotators.get("found")

    # -- checks ------------------------------------------------------------------------------------------------------

    def test_it_is_a_relation(self) -> None:
        """An ``Assigner``, ``Annotator`` or ``Weigher`` that a term takes, with a tuple of the tables that it reads."""
        made = self.make()
        assert isinstance(made, (Assigner, Annotator, Weigher)), (
            f"{type(made).__name__} must be an Assigner, Annotator or Weigher of contrapose.relations.relation"
        )
        assert isinstance(made.refs, tuple), f"refs is a tuple of the tables that it reads, not {made.refs!r}"
        self.method()

    @drawn(rows=ROWS, seed=SEEDS, missing=MISSING)
    def test_weights_are_finite_and_not_negative(self, rows: int, seed: int, missing: set[int]) -> None:
        """Of positives, denominator and anchors, for any batch; what attracts is finite."""
        method = self.ready
        out = outputs(method, toy_batch(VIEWS, rows, seed, {"toy/b": missing}))
        for pairs in whole(self.plan(method, out)):
            for name, weight in (("pos", pairs.pos), ("den", pairs.den), ("row", pairs.row)):
                assert weight is None or (weight.isfinite().all() and (weight >= 0).all()), (
                    f"the weights {name} must be finite and at least 0: 0/0 of no rows?"
                )
            assert pairs.attract is None or pairs.attract.isfinite().all(), "what attracts must be finite"

    @drawn(rows=ROWS, seed=SEEDS)
    def test_what_it_gives_has_a_row_for_each_anchor(self, rows: int, seed: int) -> None:
        """A column of integers (Q,) or (Q, P), a weight (Q,), or targets (T, K) for rows of a table."""
        method = self.ready
        out = outputs(method, toy_batch(VIEWS, rows, seed))
        term: Any = method.terms["it"]
        part, q = self.part(method), out.query(term.query)
        with must("a relation must accept any number of rows"):
            if isinstance(part, Assigner):
                soft = part.assign(out)
                if soft is not None:
                    wanted = len(soft.rows), sum(len(out.rows(k.rows, "global")) for k in term.keys)
                    found = tuple(soft.targets.shape)
                    assert found == wanted, f"targets are {found}, but there are {wanted} rows and keys"
                    assert not soft.targets.requires_grad, "targets are constants: assign without gradient"
                return
            made = part.weigh(q, out) if isinstance(part, Weigher) else part.column(q, out)
        assert len(made) == len(q), f"it gives {len(made)} values for {len(q)} anchors"
        if isinstance(part, Annotator):
            assert not made.is_floating_point(), "a column holds integers, -1 where nothing is known"

    @drawn(rows=ROWS, seed=SEEDS, side=TILES)
    def test_tiles_give_what_dense_gives(self, rows: int, seed: int, side: int) -> None:
        """Any tiling of the pairs has the weights of all pairs at once."""
        method = self.ready
        plan = self.plan(method, outputs(method, toy_batch(VIEWS, rows, seed)))
        for block, dense in enumerate(whole(plan)):
            for i in slices(len(plan.q), side):
                for j in slices(dense.pos.shape[1], side):
                    tile = plan.tile(block, i, j)
                    assert same([tile.pos, tile.den], [dense.pos[i, j], dense.den[i, j]], CLOSE), (
                        "a tile must have the weights that its pairs have among all: look at one pair at a time"
                    )

    @drawn(order=orders(COUNT))
    def test_the_order_of_rows_does_not_matter(self, order: list[int]) -> None:
        """Samples in another order have the same weights in that order."""
        method, batch = self.ready, toy_batch(VIEWS, COUNT, 3)
        one, other = (
            self.plan(method, outputs(method, b)) for b in (batch, batch.take(torch.tensor(order, dtype=torch.int64)))
        )
        assert same(by_identity(one), by_identity(other), CLOSE), "weights must not depend on the order of rows"

    def test_it_reads_the_tables_that_it_declares(self) -> None:
        """``refs`` names all tables, which are made and kept for it."""
        method = self.trained()
        out = outputs(method, toy_batch(VIEWS, COUNT, 3))
        watched, part = Watched(out), self.part(method)
        self.plan(method, out, watched)
        if isinstance(part, Assigner):
            part.commit(watched)
        own = {ref for ref in watched.asked if ref not in part.refs}
        assert not own, f"it reads {', '.join(sorted(own))}, which refs lacks: declare every table that it reads"

    def test_nothing_to_compare_with_is_nothing_found(self) -> None:
        """Without a row in the tables that it reads: a column of -1, weights that are finite, no positives."""
        method = self.method()
        gone = range(COUNT)
        out = outputs(method, toy_batch(VIEWS, COUNT, 3, {"toy/b": gone}))
        term: Any = method.terms["it"]
        part, q = self.part(method), out.query(term.query)
        with must("a relation must accept tables without rows"):
            if isinstance(part, Annotator):
                found = part.column(q, out)
                assert (found == -1).all(), "where there is nothing to find, a column is -1: it equals nothing"
            whole(self.plan(method, out))

    def test_unknown_equals_nothing(self) -> None:
        """Samples without a label (-1) aren't alike: no pair of theirs is positive that is none where all labels differ."""
        method = self.trained()
        found = []
        for label in (torch.full((COUNT,), -1), torch.arange(COUNT)):
            batch = toy_batch(VIEWS, COUNT, 3)
            batch.meta["label"] = label
            plan = self.plan(method, outputs(method, batch))
            q = plan.q.meta["sample"]
            other = [q[:, None] != k.meta["sample"][None] for k in plan.keys]
            found.append([(p.pos > 0) & o for p, o in zip(whole(plan), other, strict=True)])
        more = any(bool((a & ~b).any()) for a, b in zip(*found, strict=True))
        assert not more, "rows of which a column is unknown (-1) must not be alike: -1 equals nothing"

    def test_planning_changes_nothing(self) -> None:
        """A plan of the same step is the same again, draws from no global state, and leaves state and tables alone."""
        method = self.trained()
        out = outputs(method, toy_batch(VIEWS, COUNT, 3))
        term: Any = method.terms["it"]
        tables = [out.rows(ref).z for ref in (*term.query, *(k.rows for k in term.keys), *self.part(method).refs)]
        kept, before = snapshot(method), [z.detach().clone() for z in tables]
        with unmoved_randomness("a relation"):
            first, again = ([values(p) for p in whole(self.plan(method, out))] for _ in range(2))
        assert same(first, again), "a plan must be the same again: keep nothing that planning changes"
        assert same(kept, snapshot(method)), "state may change in commit alone, not in a plan"
        assert same(before, [z.detach() for z in tables]), "a relation must not write into its tables"

    def test_commit_leaves_the_plan_alone(self) -> None:
        """What is committed speaks from the next step on: tiles are made again in the backward pass."""
        method = self.trained()
        out = outputs(method, toy_batch(VIEWS, COUNT, 3))
        plan = self.plan(method, out)
        before = [values(p) for p in whole(plan)]
        with must("commit must take the step's outputs"), torch.no_grad():
            method.terms["it"].relation.commit(out.detached())  # type: ignore[operator, union-attr]
        assert same(before, [values(p) for p in whole(plan)]), "a plan must not change when the step is committed"

    def test_its_state_is_saved_and_loaded(self) -> None:
        """``state_dict`` through safetensors into a new method: persistent buffers and parameters are all it has."""
        method, again = self.trained(3), self.method(seed=1)
        file = self.folder / "method.safetensors"
        with must("state_dict must go through safetensors into another"):
            safetensors.torch.save_file({k: t.contiguous() for k, t in method.state_dict().items()}, file)
            again.load_state_dict(safetensors.torch.load_file(file))
        batch = toy_batch(VIEWS, COUNT, 7)
        a, b = ([values(p) for p in whole(self.plan(m, outputs(m, batch)))] for m in (method, again))
        assert same(a, b), (
            "weights are others after load_state_dict: keep state in parameters or persistent buffers alone"
        )
