"""Readers and evaluators of which each breaks one clause of its contract."""

from __future__ import annotations

from typing import Any

import numpy as np
from tests.core.goods import NeighboursContract, Shelf, ShelfContract, neighbours
from tests.core.mutants import table
from tests.core.mutants_data import at_random
from tests.core.pulses import before, but

from contrapose.evaluate.scores import Score
from contrapose.types import Sample

# -- readers ---------------------------------------------------------------------------------------------------------------


class Endless(Shelf):
    """Its last sample comes again and again."""

    def __getitem__(self, position):
        return super().__getitem__(min(position, len(self) - 1))


class FromOne(Shelf):
    """Its ids begin at 1."""

    def __init__(self, count: int = 5) -> None:
        super().__init__(count)
        self.ids = self.ids + 1

    def __getitem__(self, position):
        found = Shelf.__getitem__(_shifted(self), position)
        return Sample(found.id + 1, found.data, found.meta)


def _shifted(shelf: Shelf) -> Shelf:
    plain = Shelf()
    plain.ids = shelf.ids - 1
    return plain


class Chained(Shelf):
    """No worker can have it."""

    def __init__(self, count: int = 5) -> None:
        super().__init__(count)
        self.secret = lambda: None


class Inventive(Shelf):
    """It makes something up where it can't read."""

    def __getitem__(self, position):
        return Sample(2, {"wave": np.zeros(4)}, {}) if self.ids[position] == 2 else super().__getitem__(position)


class Trusting(Shelf):
    """It makes something up of data that are damaged."""

    def __init__(self, count: int = 5) -> None:
        super().__init__(abs(count))


class Renumbering(Shelf):
    """Its parts have ids of their own."""

    def subset(self, positions):
        part = super().subset(positions)
        part.ids = np.arange(len(part.ids))
        return part


def blanks(self: Any, found: Sample) -> Sample:
    return Sample(found.id, {**found.data, "echo": None}, found.meta)


def wordy(self: Any, found: Sample) -> Sample:
    return Sample(found.id, found.data, {"label": "a"})


def gives(change: Any) -> type:
    """A reader whose samples go through ``change``."""
    return but(Shelf, __getitem__=lambda self, position: change(self, Shelf.__getitem__(self, position)))


READERS = {
    "test_it_gives_samples_by_position": gives(blanks),
    "test_it_ends": Endless,
    "test_ids_stay": FromOne,
    "test_a_sample_is_the_same_each_time": before(Shelf, "__getitem__", at_random),
    "test_workers_read_the_same": Chained,
    "test_meta_are_numbers": gives(wordy),
    "test_what_cannot_be_read_is_told_in_one_line": Inventive,
    "test_damaged_data_are_refused_in_one_line": Trusting,
    "test_a_part_keeps_its_ids": Renumbering,
    "test_its_fingerprint_tells_data_apart": but(Shelf, fingerprint=lambda self: "the same"),
}

# -- evaluators ------------------------------------------------------------------------------------------------------------


def scores(change: Any) -> dict[str, Any]:
    """Changes to the contract's class by which an evaluator's scores go through ``change(scores, embedded)``."""

    def evaluate(embedded):
        """Accuracies, changed."""
        return change(neighbours(embedded), embedded)

    evaluate.__annotations__ = dict(neighbours.__annotations__)
    evaluate.__module__ = neighbours.__module__
    return {"component": staticmethod(_typed(evaluate))}


def _typed(evaluate: Any) -> Any:
    evaluate.__globals__.setdefault("Embedded", neighbours.__globals__["Embedded"])
    return evaluate


def _mine(embedded: Any) -> Any:
    return embedded.tables("test", "pooled")["a"]


def of_one(made: Any, embedded: Any, values: Any, queries: Any) -> Any:
    return made if len(_mine(embedded)) > 1 else [Score("odd", "a", values, queries)]


def in_place(made: Any, embedded: Any) -> Any:
    _mine(embedded).z.mul_(2)
    return made


def learns(made: Any, embedded: Any) -> Any:
    mine = _mine(embedded)
    return made if mine.labels is None else [*made, Score("odd", "a", np.full(len(mine), mine.labels.mean()), mine)]


def needs_labels(made: Any, embedded: Any) -> Any:
    assert _mine(embedded).labels.sum() != -1
    return made


EVALUATORS = {
    "test_it_gives_scores": scores(lambda made, embedded: made + made[:1]),
    "test_values_are_finite": scores(lambda made, embedded: of_one(made, embedded, float("nan"), None)),
    "test_there_is_a_value_for_each_query": scores(
        lambda made, embedded: of_one(made, embedded, np.zeros(2), _mine(embedded))
    ),
    "test_the_embeddings_stay_as_they_are": scores(in_place),
    "test_it_is_a_function_of_the_embeddings": scores(
        lambda made, embedded: [*made, Score("odd", "a", float(np.random.rand()))]
    ),
    "test_it_does_not_learn_from_test_labels": scores(learns),
    "test_without_labels_it_runs": scores(needs_labels),
}

MUTANTS = table(globals(), {ShelfContract: READERS, NeighboursContract: EVALUATORS})
