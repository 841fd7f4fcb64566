"""What an evaluator must keep."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st

from contrapose.evaluate.scores import Embedded, Score, Table
from contrapose.testing.compare import must, same, stir
from contrapose.testing.contract import Contract
from contrapose.testing.draw import SEEDS, drawn

WIDTH = 4
MODALITIES = ("a", "b")
TRAIN, TEST = 12, 6


class EvaluatorContract(Contract):
    """An evaluator turns embeddings into scores: finite ones, the same each time, without learning from what it scores.

    It is given invented embeddings of two modalities in one space, of which samples of one class lie near each other.

    Attributes:
        classes: how many classes the labels have.
    """

    kind = "evaluator"
    classes: int = 3

    def make(self, **facts: Any) -> Any:
        """The evaluator."""
        return self.target

    def embedded(self, rows: int = TEST, seed: int = 0, labels: bool = True, change: Any = None) -> Embedded:
        """Embeddings of a train split and of ``rows`` test samples; ``change(table)`` is done to each test table."""

        def embed(split: str, head: str) -> dict[str, Table]:
            count = TRAIN if split == "train" else rows
            made = {m: self._table(m, count, f"{split} {head}", seed, labels) for m in MODALITIES}
            return {m: change(t) for m, t in made.items()} if change and split != "train" else made

        return Embedded(embed, "test", seed)

    def scores(self, embedded: Embedded) -> list[Score]:
        """What it gives."""
        with must("an evaluator must score any embeddings"):
            made: list[Score] = self.make()(embedded)
        return made

    # -- checks ------------------------------------------------------------------------------------------------------

    def test_it_gives_scores(self) -> None:
        """A list of ``Score``, no two of one metric and the same rows' name."""
        made = self.scores(self.embedded())
        assert isinstance(made, list), f"an evaluator gives a list of Score, not {type(made).__name__}"
        assert made, "an evaluator must give a score for labelled embeddings of two modalities"
        for score in made:
            assert isinstance(score, Score), (
                f"an evaluator gives a list of Score, but there is a {type(score).__name__}"
            )
        names = [(s.metric, s.of) for s in made]
        twice = {f"{m} of {of}" for m, of in names if names.count((m, of)) > 1}
        assert not twice, f"each score is one metric of one thing, but there are several of {', '.join(sorted(twice))}"

    @drawn(examples=4, rows=st.integers(1, 6), seed=SEEDS)
    def test_values_are_finite(self, rows: int, seed: int) -> None:
        """Whatever is embedded, one row too; chance as well."""
        for score in self.scores(self.embedded(rows, seed)):
            finite = np.isfinite(np.asarray(score.values, dtype=np.float64)).all()
            assert finite, f"{score.metric} of {score.of} must be finite: leave out what can't be said"
            assert score.chance is None or np.isfinite(score.chance), f"chance of {score.metric} must be finite"

    @drawn(examples=4, rows=st.integers(1, 6), seed=SEEDS)
    def test_there_is_a_value_for_each_query(self, rows: int, seed: int) -> None:
        """Where ``queries`` says which rows were scored, ``values`` has one for each; else it is one number."""
        for score in self.scores(self.embedded(rows, seed)):
            shape = np.shape(score.values)
            wanted = () if score.queries is None else (len(score.queries),)
            assert shape == wanted, (
                f"values of {score.metric} of {score.of} are {shape}, but must be {wanted}: one for each of queries, else a number"
            )

    def test_the_embeddings_stay_as_they_are(self) -> None:
        """Other evaluators read them too."""
        embedded = self.embedded()
        tables = [embedded.tables(s, h) for s in ("train", "test") for h in ("projected", "pooled")]
        kept = copy.deepcopy(tables)
        self.scores(embedded)
        assert same(kept, tables), (
            "an evaluator must not change embeddings, ids or labels in place: copy before writing"
        )

    def test_it_is_a_function_of_the_embeddings(self) -> None:
        """The same scores each time, whatever the global random state: what it draws is drawn under ``embedded.seed``."""
        made = []
        for seed in (1, 2):
            stir(seed)
            made.append(_values(self.scores(self.embedded())))
        assert same(made[0], made[1], 1e-9), "equal embeddings must give equal scores: draw under embedded.seed alone"

    @drawn(examples=2, row=st.integers(0, TEST - 1))
    def test_it_does_not_learn_from_test_labels(self, row: int) -> None:
        """Another label of one test sample changes the values of that sample alone."""

        def other(table: Table) -> Table:
            assert table.labels is not None
            labels = table.labels.copy()
            labels[row] = (labels[row] + 1) % self.classes
            return replace(table, labels=labels)

        before, after = (self.scores(self.embedded(change=c)) for c in (None, other))
        for a, b in zip(before, after, strict=True):
            if a.queries is not None:
                kept = a.queries.ids != a.queries.ids.min() + row
                assert same(np.asarray(a.values)[kept], np.asarray(b.values)[kept], 1e-9), (
                    f"{a.metric} of {a.of}: the label of a test sample changed what others score; learn from 'train' alone"
                )

    def test_without_labels_it_runs(self) -> None:
        """Data without labels, and samples whose label isn't known, are no error: what needs labels gives no score."""
        for change in (lambda t: replace(t, labels=None), lambda t: replace(t, labels=np.full(len(t), np.nan))):
            with must("an evaluator must run where labels are missing"):
                self.make()(self.embedded(change=change))
        self.scores(self.embedded(labels=False))

    def _table(self, modality: str, count: int, of: str, seed: int, labels: bool) -> Table:
        """Rows around the centre of their class, the same centres in all modalities and splits."""
        centres = np.random.default_rng(0).normal(size=(self.classes, WIDTH))
        rng = np.random.default_rng([seed, *map(ord, modality + of)])
        label = np.random.default_rng([seed, *map(ord, of.split()[0])]).integers(self.classes, size=count)
        label[: self.classes] = np.arange(self.classes)[:count]
        z = torch.from_numpy(centres[label] + rng.normal(0, 0.5, (count, WIDTH))).float()
        first = 0 if of.startswith("train") else TRAIN
        return Table(z, np.arange(first, first + count), label.astype(np.float64) if labels else None)


def _values(scores: list[Score]) -> list[Any]:
    return [(s.metric, s.of, np.asarray(s.values, dtype=np.float64)) for s in scores]
