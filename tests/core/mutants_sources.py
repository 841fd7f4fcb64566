"""Sources and mixers of which each breaks one clause of its contract."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import torch
from tests.core.goods import MixContract, PrototypesContract, QueueContract
from tests.core.mutants import table
from tests.core.pulses import after, before, but
from torch.nn import Parameter

from contrapose.sources.prototypes import Prototypes
from contrapose.sources.queue import Queue
from contrapose.types import Rows, ident
from contrapose.views import Mix

# -- sources -------------------------------------------------------------------------------------------------------------


class Rootless(Prototypes):
    """It names no table."""

    def __init__(self, of: str, count: int, name: str = "it") -> None:
        super().__init__(of, count, name=name)
        self.refs = ()

    def setup(self, dim, sources):
        self.weight = Parameter(torch.randn(self.count, 4))

    def width(self, dim, table=""):
        return 4


class Counting(Queue):
    """It counts how often it is asked."""

    def __init__(self, of: str, size: int, name: str = "it") -> None:
        super().__init__(of, size, name=name)
        self.register_buffer("asked", torch.zeros(()))

    def rows(self, out, table=""):
        self.asked += 1
        return super().rows(out, table)


class Shifting(Queue):
    """What moves its rows is in no checkpoint."""

    def __init__(self, of: str, size: int, name: str = "it") -> None:
        super().__init__(of, size, name=name)
        self.register_buffer("shift", torch.zeros(()), persistent=False)

    def commit(self, out):
        super().commit(out)
        self.shift += 1

    def rows(self, out, table=""):
        made = super().rows(out, table)
        return made and replace(made, z=made.z + self.shift)


class _Here:
    """A step of which the other processes' rows aren't seen."""

    def __init__(self, out: Any) -> None:
        self.out, self.clock, self.seed = out, out.clock, out.seed

    def rows(self, ref: str, scope: str = "local") -> Rows:
        return self.out.rows(ref)


def narrow_at_first(self: Any, made: Rows | None, out: Any, table: str = "") -> Rows | None:
    key = out.rows("key")
    return made if made is not None or len(key) else Rows(key.z[:, :2], key.meta, replicated=True)


def moved(self: Any, made: Rows | None, out: Any, table: str = "") -> Rows | None:
    return made and replace(made, z=made.z + out.rows("key", "global").z.sum(0))


def odd(self: Any, made: Rows | None, out: Any, table: str = "") -> Rows | None:
    return made and made.with_columns(odd=torch.zeros(len(made) + 1))


def learnt(self: Any, made: Rows | None, out: Any, table: str = "") -> Rows | None:
    return made and replace(made, z=made.z.clone().requires_grad_())


def short(self: Any, rows: Rows) -> dict[str, Any]:
    return {"it.odd": torch.zeros(1)} if len(rows) and (rows.meta["origin"] == ident("query")).all() else {}


SOURCES = {
    "test_rows_are_as_declared": after(Queue, "rows", odd),
    "test_before_there_is_anything_width_and_columns_are_kept": after(Queue, "rows", narrow_at_first),
    "test_batches_may_be_of_any_size": before(Queue, "commit", lambda self, out: out.rows("key", "global").z.amax()),
    "test_only_a_step_changes_it": Counting,
    "test_the_loss_never_meets_what_the_step_will_store": after(Queue, "rows", moved),
    "test_its_state_is_saved_and_loaded": Shifting,
    "test_gradients_are_those_of_parameters": after(Queue, "rows", learnt),
    "test_what_it_knows_of_rows_is_columns": but(Queue, annotate=short),
    "test_two_processes_train_as_one": but(Queue, commit=lambda self, out: Queue.commit(self, _Here(out))),
}

# -- mixers --------------------------------------------------------------------------------------------------------------


class Unnamed(Mix):
    """Nobody can send it to a worker."""

    def __reduce__(self):
        raise TypeError("stays here")


def at_random(self: Any, views: Any, sample: Any, generator: Any) -> None:
    random.random()


MIXERS = {
    "test_it_is_a_mixer": Unnamed,
    "test_it_is_a_function_of_its_generator": before(Mix, "mix", at_random),
    "test_mixed_rows_are_like_those_they_are_made_of": after(
        Mix, "mix", lambda self, made, *a: replace(made, index=0 * made.index)
    ),
}

MUTANTS = table(
    globals(),
    {PrototypesContract: {"test_it_is_a_source": Rootless}, QueueContract: SOURCES, MixContract: MIXERS},
)
