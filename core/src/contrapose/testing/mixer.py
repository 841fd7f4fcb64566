"""What a mixer of a batch's views must keep."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import torch
from hypothesis import strategies as st

from contrapose.testing.compare import must, same, stir, unmoved_randomness
from contrapose.testing.data import SampleContract, collated, leaves_of, rows_of, uniform
from contrapose.testing.draw import SEEDS, drawn
from contrapose.types import ViewBatch, tree_shape
from contrapose.views import BatchMixer

TRIES = 30


class MixerContract(SampleContract):
    """A mixer draws from its generator alone, changes nothing, and gives rows that belong to samples of the batch.

    Attributes:
        more: entries that mixed rows have beside a view's own, for encoders that know what to do with them.
    """

    kind = "view"
    more: Sequence[str] = ()

    @cached_property
    def mixer(self) -> Any:
        """The mixer."""
        return self.make(modality=self.reads.name, of="query")

    @cached_property
    def given(self) -> ViewBatch:
        """The views of all samples; the batch has one sample more, the first, which lacks the view."""
        made = collated(self.reads, uniform(self.reads, self.samples, self.view))
        return ViewBatch(made.data, made.modality, made.index + 1)

    def mixed(self, views: ViewBatch, seed: int = 0) -> ViewBatch:
        """What the mixer makes of views under a seed."""
        sample = 100 + torch.arange(len(self.samples) + 1)
        with must("mix(views, sample, generator) must take a batch of the modality's views"):
            made = self.mixer.mix(views, sample, torch.Generator().manual_seed(seed))
        assert isinstance(made, ViewBatch), f"mix gives a ViewBatch, not {type(made).__name__}"
        return made

    # -- checks ------------------------------------------------------------------------------------------------------

    def test_it_is_a_mixer(self) -> None:
        """It says which modality and slot it mixes, and goes to a loader's workers with the plan."""
        assert isinstance(self.mixer, BatchMixer), (
            f"{self.mixer!r} needs modality, of and mix(views, sample, generator)"
        )
        assert self.mixer.modality == self.reads.name, f"it mixes {self.mixer.modality!r}: take modality as an argument"
        with must("the mixer must be picklable"):
            pickle.loads(pickle.dumps(self.mixer))

    def test_it_is_a_function_of_its_generator(self) -> None:
        """No global random state is read or moved; another generator mixes otherwise; the views stay as they are."""
        kept, made = copy.deepcopy(self.given), []
        for seed in (1, 2):
            stir(seed)
            with unmoved_randomness("a mixer"):
                made.append(self.mixed(self.given))
        assert same(self.given, kept), "a mixer must not change its batch in place: clone before writing"
        assert same(made[0], made[1]), "equal generators must give equal views: draw from the given generator alone"
        others = (self.mixed(self.given, seed) for seed in range(1, TRIES))
        assert any(not same(made[0], other) for other in others), "views never differ: draw from the given generator"

    @drawn(rows=lambda self: st.integers(1, len(self.samples)), seed=SEEDS)
    def test_mixed_rows_are_like_those_they_are_made_of(self, rows: int, seed: int) -> None:
        """Their shapes and dtypes; each belongs to a sample that has the view, and has a value in every column."""
        views = ViewBatch(rows_of(self.given.data, range(rows)), self.given.modality, self.given.index[:rows])
        made = self.mixed(views, seed)
        assert made.modality == views.modality, f"made views of {made.modality!r}, not of {views.modality!r}"
        own = {k: v for k, v in made.data.items() if k not in self.more} if self.more else made.data
        assert tree_shape(own) == tree_shape(views.data), "mixed rows must have the shapes and dtypes of views"
        assert set(made.index.tolist()) <= set(views.index.tolist()), "index must name samples that have the view"
        columns = {**made.meta, **{f"tensor {n}": leaf for n, leaf in enumerate(leaves_of(made.data))}}
        for name, column in columns.items():
            assert len(column) == len(made.index), f"{name} has {len(column)} rows, but index has {len(made.index)}"
