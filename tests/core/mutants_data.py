"""Modalities, views, encoders and losses of which each breaks one clause of its contract."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch
from tests.core import broken_data, broken_models
from tests.core.mutants import table
from tests.core.pulses import (
    LONGEST,
    CosineContract,
    Far,
    HeadLossContract,
    Net,
    NetContract,
    Noise,
    NoiseContract,
    Pulse,
    PulseContract,
    SetContract,
    before,
    but,
)

from contrapose.losses.simple import Cosine
from contrapose.types import View

# -- modalities and views --------------------------------------------------------------------------------------------------


class Undecided(Pulse):
    """It has no dtype before it is fitted."""

    def __init__(self, scale: float = 1.0) -> None:
        super().__init__(scale)
        self.dtype = "float32"

    def fit(self, cells, root):
        super().fit(cells, root)
        self.dtype = torch.float32


class Shifted(Pulse):
    """By column its numbers are others than by row."""

    def load_columns(self, batch, root):
        made = self.collate([self.load(row, root) for row in batch.to_pylist()])
        return {**made, "x": made["x"] + 1}


class Still:
    """It never changes anything."""

    modality = "pulse"

    def __call__(self, sample, rng):
        return [View("", "pulse", sample.data["pulse"])]


class Growing(Still):
    """It makes more numbers than fit."""

    def __call__(self, sample, rng):
        return [View("", "pulse", rng.normal(size=LONGEST + 1).astype(np.float32))]


def at_random(self: Any, *a: Any) -> None:
    """Draws from a global state, and forgets it."""
    random.random()


def stirs_torch(self: Any, *a: Any) -> None:
    torch.rand(1)


def marks(self: Any, sample: Any, rng: Any) -> None:
    sample.data["seen"] = 1


MODALITIES, VIEWS = broken_data.MODALITIES, broken_data.VIEWS


def of(broken: dict[str, dict[str, type]], **chosen: str) -> dict[str, type]:
    """Those of a table of broken components that break one clause alone, by what is said of them."""
    return {clause: broken[clause][says] for clause, says in chosen.items()}


DATA: dict[type, dict[str, Any]] = {
    PulseContract: {
        "test_it_is_documented": but(Pulse, __doc__=None),
        **of(broken_data.SHARED, test_its_arguments_are_named_and_typed="the default of 'scale' is not of its type"),
        "test_it_has_a_name_and_a_dtype": Undecided,
        "test_cells_by_column_are_those_by_row": Shifted,
        "test_load_is_a_function_of_the_cells": before(Pulse, "load", at_random),
        **of(
            MODALITIES,
            test_broken_cells_are_refused_in_one_line="must raise DataError for beat",
            test_collate_gives_one_row_an_item="dtype says torch.int64",
            test_rows_of_a_batch_are_its_items="whatever its place and the other items",
            test_lengths_tell_each_datum_for_itself="whatever the others",
            test_preview_shows_something="not be empty",
            test_workers_load_and_collate_the_same="load must give the same in a worker",
            test_what_was_fitted_is_saved_and_loaded="facts must be the same",
            test_it_suggests_itself_for_its_own_columns_alone="must claim columns",
        ),
    },
    NoiseContract: {
        "test_the_same_rng_gives_the_same_views": before(Noise, "__call__", at_random),
        "test_another_rng_gives_other_views": Still,
        "test_the_sample_stays_as_it_is": before(Noise, "__call__", marks),
        "test_views_fit_into_one_batch": Growing,
        "test_batched_is_a_function_of_its_generator": before(Noise, "batched", stirs_torch),
        **of(
            VIEWS,
            test_views_are_those_that_are_declared="declare their names",
            test_workers_make_the_same_views="the same in a worker",
            test_what_was_fitted_is_saved_and_loaded="same after load_state_dict",
            test_batched_is_shaped_as_the_views_are="make them equal",
            test_batched_is_of_the_same_distribution="of the distribution",
            test_batched_keeps_rows_to_their_samples="of its own sample",
        ),
    },
}

# -- encoders and losses ---------------------------------------------------------------------------------------------------


class Two(Net):
    """Its taps of two rows in training aren't finite."""

    def forward(self, data):
        taps = super().forward(data)
        two = self.training and len(data["x"]) == 2 and not torch.is_autocast_enabled("cpu")
        return {**taps, "pooled": taps["pooled"] / (0.0 if two else 1.0)}


class Bound(Cosine):
    """No other process can have it."""

    def __init__(self) -> None:
        super().__init__()
        self.secret = lambda: None


def marks_batch(self: Any, data: Any) -> None:
    data["seen"] = data["x"]


def marks_meta(self: Any, out: Any, batch: Any) -> None:
    batch.meta["seen"] = batch.sample


MODELS: dict[type, dict[str, Any]] = {
    NetContract: {
        "test_taps_are_as_wide_as_declared": before(Net, "forward", marks_batch),
        "test_two_rows_train": Two,
        **of(
            broken_models.ENCODERS,
            test_it_is_a_module_that_says_what_it_reads_and_gives="modality says 'echo'",
            test_no_rows_are_a_batch_too="keep their gradient",
            test_the_gradient_reaches_every_parameter="reaches unused.weight, unused.bias",
            test_evaluation_is_a_function_of_the_batch="buffers alone",
            test_rows_do_not_see_each_other_in_evaluation="normalise by running statistics or by row",
            test_bf16_stays_finite="gradients under bf16",
            test_weights_are_a_function_of_the_seed="one seed gave two networks",
            test_its_state_is_saved_and_loaded="after load_state_dict",
            test_copies_are_their_own="must be picklable",
        ),
    },
    CosineContract: {
        "test_it_is_a_loss": Bound,
        **of(broken_models.PAIRS, test_tiles_give_what_dense_gives="tiles must give"),
    },
    SetContract: of(
        broken_models.SETS,
        test_value_and_gradient_are_finite="the gradient of equal rows",
        test_the_gradient_is_that_of_the_value="where the value rises by",
        test_the_order_of_rows_does_not_matter="order of its rows",
        test_few_rows_are_enough="two samples",
    ),
    HeadLossContract: {
        **of(broken_models.HEADS, test_no_rows_are_a_finite_zero="a mean over none"),
        "test_tables_and_batch_stay_as_they_are": before(Far, "forward", marks_meta),
    },
}

MUTANTS = table(globals(), {**DATA, **MODELS})
