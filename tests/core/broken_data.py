"""Modalities and views that break their contracts, each by what the kit says: ``{contract: {check: {says: component}}}``."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from multiprocessing import parent_process
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from tests.core.pulses import LONGEST, Noise, NoiseContract, Pulse, PulseContract, after, before, but, fail, without

from contrapose.errors import DataError
from contrapose.types import Suggestion, View

if TYPE_CHECKING:
    from collections.abc import Hashable


class Untyped(Pulse):
    """An argument without a type."""

    def __init__(self, scale=1.0) -> None:
        super().__init__(scale)


class Unchecked(Pulse):
    """A type that only a type checker sees."""

    def __init__(self, scale: Hashable = 1.0) -> None:
        super().__init__()


class Mistyped(Pulse):
    """A default that is not of its type."""

    def __init__(self, scale: float = None) -> None:  # noqa: RUF013
        super().__init__()


class Hidden(Pulse):
    """Arguments that nobody knows."""

    def __init__(self, **more: Any) -> None:
        super().__init__()


class Unprintable:
    def __repr__(self) -> str:
        raise RuntimeError("no")


UNPRINTABLE = Unprintable()


class Unshown(Pulse):
    """A default that can't be printed."""

    def __init__(self, scale: Any = UNPRINTABLE) -> None:
        super().__init__()


def doubled_in_a_worker(value: Any) -> Any:
    return value if parent_process() is None else value * 2


class Shifty(Pulse):
    """It loads otherwise in a worker."""

    def load(self, cells, root):
        return doubled_in_a_worker(super().load(cells, root))


class ShiftyBatch(Pulse):
    """It collates otherwise in a worker."""

    def collate(self, items):
        return {name: doubled_in_a_worker(leaf) for name, leaf in super().collate(items).items()}


class ShiftyNoise(Noise):
    """It makes other views in a worker."""

    def __call__(self, sample, rng):
        v = super().__call__(sample, rng)[0]
        return [View("", v.modality, doubled_in_a_worker(v.data))]


class Short(Pulse):
    """It loses an item."""

    name = "short"

    def collate(self, items):
        return super().collate(items[1:])


def noisy(value: Any) -> Any:
    """Times what the operating system draws, which no seed decides."""
    return value * os.urandom(4)[0]


def unpicklable(self: Any, *a: Any) -> None:
    self.secret = lambda: None


def loaded(change: Callable[..., Any]) -> type:
    """A modality whose loaded data go through ``change``."""
    return after(Pulse, "load", lambda self, data, *a: change(data))


def batches(change: Callable[..., Any]) -> type:
    """A modality whose batches go through ``change(batch, items)``."""
    return after(Pulse, "collate", lambda self, made, items: change(made, items))


def shown(bundle: Any) -> type:
    """A modality with this preview."""
    return but(Pulse, preview=lambda *a: bundle)


def suggests(columns: Callable[..., Any], view: str = "pulse-noise", always: bool = False) -> type:
    """A modality that suggests these columns, of objects too only where ``always``."""

    def suggest(self: Any, given: Any, *a: Any) -> Suggestion | None:
        return Suggestion(columns(given), view, "pulse-net") if always or len(given) > 1 else None

    return but(Pulse, suggest=suggest)


def viewed(change: Callable[..., Any]) -> type:
    """A generator whose data go through ``change(data, sample, rng)``."""
    return after(Noise, "__call__", lambda self, made, *a: [View("", "pulse", change(made[0].data, *a))])


def knows(meta: Callable[..., Any]) -> type:
    """A generator whose views have this meta."""
    return after(Noise, "__call__", lambda self, made, sample, rng: [View("", "pulse", made[0].data, meta(sample))])


def whole(change: Callable[..., Any]) -> type:
    """A generator whose batched form goes through ``change``."""
    return after(Noise, "batched", lambda self, made, *a: change(made))


def exact(self: Any, data: Any, generator: torch.Generator) -> Any:
    """As many numbers as are expected move, never more or fewer: each number's distribution is nearly as it was."""
    x, known = data["x"], data["known"]
    order = torch.rand(x.shape, generator=generator).masked_fill(~known, 2).argsort(1).argsort(1)
    moved = order < (known.sum(1, keepdim=True) * self.share).round()
    return {"x": x + moved * self.scale * torch.randn(x.shape, generator=generator), "known": known}


def twice(self: Any, made: list[View], *a: Any) -> list[View]:
    return made * 2


SHARED: dict[str, dict[str, type]] = {
    "test_it_is_documented": {"a docstring": but(Pulse, __doc__=None)},
    "test_its_arguments_are_named_and_typed": {
        "give the argument 'scale'.* a type hint": Untyped,
        "'Hashable'.* can't be found at run time": Unchecked,
        "the default of 'scale' is not of its type": Mistyped,
        r"takes \*\*more.*, which a config can't give": Hidden,
    },
}

MODALITIES: dict[str, dict[str, type]] = {
    "test_it_has_a_name_and_a_dtype": {
        "a torch dtype": but(Pulse, dtype="float32"),
        "lacks one": without(Pulse, "preview"),
    },
    "test_load_is_a_function_of_the_cells": {
        "drew from random": loaded(lambda x: x + random.random()),
        "the same data each time": loaded(noisy),
        "must not change its cells": before(Pulse, "load", lambda self, cells, root: cells["beat"].sort()),
    },
    "test_broken_cells_are_refused_in_one_line": {
        "must raise DataError in one line .* not ValueError": but(Pulse, load=fail(ValueError("no"))),
        "must be one line": but(Pulse, load=fail(DataError("no\nno"))),
        "must say what is wrong": but(Pulse, load=fail(DataError(" "))),
        "must raise DataError for beat": but(Pulse, load=lambda *a: np.zeros(3)),
    },
    "test_collate_gives_one_row_an_item": {
        "set view on this class": but(Pulse, collate=lambda self, items: torch.tensor(np.stack(items))),
        "tensors alone": batches(lambda made, items: {**made, "names": ["a"]}),
        "a tensor or a dict of tensors": batches(lambda made, items: {}),
        "a row each": batches(lambda made, items: {**made, "x": made["x"].T}),
        "dtype says torch.int64": but(Pulse, dtype=torch.int64),
    },
    "test_rows_of_a_batch_are_its_items": {
        "whatever its place and the other items": batches(
            lambda made, items: {**made, "x": made["x"] - made["x"].mean(0)}
        ),
        r"smallest input that fails: rows=\[1, 0\]": batches(
            lambda made, items: {k: v[np.argsort([*map(len, items)])] for k, v in made.items()}
        ),
    },
    "test_lengths_tell_each_datum_for_itself": {
        "must take a list": but(Pulse, lengths=fail(TypeError("no"))),
        "one each": but(Pulse, lengths=lambda self, items: [len(item) for item in items] + [0]),
        "of at least 0": but(Pulse, lengths=lambda self, items: [-len(item) for item in items]),
        "whatever the others": but(Pulse, lengths=lambda self, items: [max(map(len, items))] * len(items)),
    },
    "test_preview_shows_something": {
        "at least one form": shown({}),
        "a MIME bundle": shown("text"),
        "no MIME type": shown({"text": "x"}),
        "not be empty": shown({"text/plain": ""}),
        "bytes or text": shown({"text/plain": 5}),
        "of a PNG file": shown({"image/png": b"x"}),
        "must not change the data": before(Pulse, "preview", lambda self, data: data.sort()),
        "must show what load and views return": but(Pulse, preview=fail(ValueError("no"))),
    },
    "test_workers_load_and_collate_the_same": {
        "picklable": before(Pulse, "__init__", unpicklable),
        "load must give the same in a worker": Shifty,
        "collate must give the same in a worker": ShiftyBatch,
    },
    "test_what_was_fitted_is_saved_and_loaded": {
        "needs state_dict": but(Pulse, state_dict=property()),
        "JSON values": but(Pulse, state_dict=lambda self: {"mean": {1, 2}}),
        "two fits": after(Pulse, "fit", lambda self, *a: setattr(self, "mean", noisy(self.mean))),
        "facts must be the same": but(Pulse, load_state_dict=lambda *a: None),
        "load must give the same": but(Pulse, load_state_dict=lambda *a: None, facts=lambda self: {}),
        "must take what state_dict gave": but(Pulse, load_state_dict=fail(KeyError("mean"))),
    },
    "test_it_suggests_itself_for_its_own_columns_alone": {
        "a Suggestion for its own cells": but(Pulse, suggest=lambda *a: None),
        "must give None": suggests(list, always=True),
        "no column but its own": suggests(list),
        "must claim columns": suggests(lambda given: []),
        "did you mean 'pulse-noise'": suggests(lambda given: ["beat"], view="pulse-nois"),
    },
}

VIEWS: dict[str, dict[str, type]] = {
    "test_the_same_rng_gives_the_same_views": {
        "drew from numpy.random": viewed(lambda x, *a: x + np.random.rand()),
        "drew from torch": viewed(lambda x, *a: x + torch.rand(1).item()),
        "equal rngs": viewed(lambda x, *a: noisy(x)),
    },
    "test_another_rng_gives_other_views": {"never differ": viewed(lambda x, sample, rng: sample.data["pulse"])},
    "test_the_sample_stays_as_it_is": {
        "in place": before(Noise, "__call__", lambda self, sample, rng: sample.data["pulse"].fill(9.0)),
    },
    "test_views_are_those_that_are_declared": {
        "needs modality": without(Noise, "modality"),
        "declare their names": after(Noise, "__call__", twice),
        "view_names says a, b": but(Noise, view_names=("a", "b")),
        "a view twice": after(but(Noise, view_names=("", "b")), "__call__", twice),
        "not of 'echo'": but(Noise, makes="echo"),
        "reads 'echo', not 'pulse'": but(Noise, modality="echo"),
        "meta are numbers": knows(lambda sample: {"kind": "x"}),
        "same keys in meta": knows(lambda sample: {f"of {sample.id}": 1}),
    },
    "test_views_fit_into_one_batch": {
        "fit into one batch": viewed(lambda x, *a: np.zeros(LONGEST + 1, np.float32)),
        "a row for each view": after(Noise, "__call__", lambda self, made, *a: [View("", "short", made[0].data)]),
    },
    "test_workers_make_the_same_views": {
        "picklable": before(Noise, "__init__", unpicklable),
        "the same in a worker": ShiftyNoise,
    },
    "test_what_was_fitted_is_saved_and_loaded": {
        "needs load_state_dict": but(Noise, load_state_dict=property()),
        "JSON values": but(Noise, state_dict=lambda self: {"scale": {1}}),
        "same after load_state_dict": but(Noise, load_state_dict=lambda *a: None),
        "must take what state_dict gave": but(Noise, load_state_dict=fail(KeyError("scale"))),
    },
    "test_batched_is_a_function_of_its_generator": {
        "drew from torch": whole(lambda made: {**made, "x": made["x"] + torch.rand(1)}),
        "equal generators": whole(lambda made: {**made, "x": noisy(made["x"])}),
        "in place": before(Noise, "batched", lambda self, data, generator: data["x"].add_(1)),
        "the same for every generator": but(Noise, batched=lambda self, data, generator: data),
        "must take a collated batch": but(Noise, batched=lambda self, data, generator: data + 1),
    },
    "test_batched_is_shaped_as_the_views_are": {
        "make them equal": whole(lambda made: {**made, "x": made["x"].double()}),
        "a row for each": whole(lambda made: {name: leaf[1:] for name, leaf in made.items()}),
    },
    "test_batched_is_of_the_same_distribution": {
        "of the distribution": before(Noise, "batched", lambda self, *a: setattr(self, "share", 0.8)),
        "how many change": but(Noise, batched=exact),
    },
    "test_batched_keeps_rows_to_their_samples": {
        "of its own sample": whole(lambda made: {name: leaf.roll(1, 0) for name, leaf in made.items()}),
        "mix no rows": whole(lambda made: {**made, "x": (made["x"] + made["x"].roll(len(made["x"]) // 2, 0)) / 2}),
    },
}

BROKEN = {PulseContract: SHARED | MODALITIES, NoiseContract: VIEWS}
