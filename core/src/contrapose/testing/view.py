"""What a view generator must keep."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from functools import cached_property
from numbers import Real
from typing import Any

import numpy as np
import pytest
import torch

from contrapose.config import build
from contrapose.testing.compare import must, same, same_distribution, stir, unmoved_randomness
from contrapose.testing.data import SampleContract, collated, leaves_of, rows_of, state_through_files
from contrapose.testing.draw import SEEDS, a_sample, drawn, of_samples, picks
from contrapose.testing.worker import in_worker
from contrapose.types import Modality, Sample, View, ViewGenerator, tree_shape
from contrapose.views.compose import made_modality, run_batched

TRIES = 30
DRAWS = 1000


class ViewContract(SampleContract):
    """A view generator draws from its rng alone, changes nothing, and makes what its modality can collate.

    Attributes:
        random: False for a view that is the same whatever the rng.
        alike: at least three rows of raw cells that fit into one batch as they are loaded, by which a batched form is checked; by
            default ``cells``.
    """

    kind = "view"
    random: bool = True
    alike: Sequence[Mapping[str, Any]] = ()

    @cached_property
    def generator(self) -> Any:
        """The generator, fitted if it fits."""
        made = self.make(modality=self.reads.name)
        if hasattr(made, "fit"):
            made.fit(self.samples)
        return made

    def views(self, sample: Sample, seed: int = 0) -> list[View]:
        """The generator's views of a sample under a seed."""
        return list(self.generator(sample, np.random.default_rng(seed)))

    @cached_property
    def batchable(self) -> list[Sample]:
        """A sample for each row of ``alike``, or of ``cells``."""
        return self.loaded(self.alike or self.rows)

    def collates(self, name: str) -> Modality:
        """The modality of the views: what was read, or another that the generator makes."""
        made: Modality = self.reads if name == self.reads.name else build("modality", name)
        return made

    # -- checks ------------------------------------------------------------------------------------------------------

    @drawn(sample=a_sample, seed=SEEDS)
    def test_the_same_rng_gives_the_same_views(self, sample: int, seed: int) -> None:
        """Views are a function of the sample and the rng; no global random state is read or moved."""
        made = []
        for other in (1, 2):
            stir(other)
            with unmoved_randomness("a view generator"):
                made.append(self.views(self.samples[sample], seed))
        assert same(made[0], made[1]), (
            "equal rngs must give equal views: draw from the given rng alone, and keep no state"
        )

    def test_another_rng_gives_other_views(self) -> None:
        """Somewhere among the samples and a few seeds; nowhere where ``random = False``."""
        differs = any(
            not same(self.views(sample), self.views(sample, seed))
            for seed in range(1, TRIES)
            for sample in self.samples
        )
        if self.random:
            assert differs, (
                f"views never differ in {TRIES} draws: draw from the rng, or set random = False on this class"
            )
        else:
            assert not differs, "views differ with the rng, though this class says random = False"

    def test_the_sample_stays_as_it_is(self) -> None:
        """Other views are made of the same sample."""
        for sample in self.samples:
            kept = copy.deepcopy(sample)
            self.views(sample)
            assert same(sample, kept), "a view must not change its sample in place: copy before writing"

    def test_views_are_those_that_are_declared(self) -> None:
        """Names are of ``view_names``, or there is one view; modality and meta are as the loader needs them."""
        declared = tuple(getattr(self.generator, "view_names", ()))
        assert isinstance(self.generator, ViewGenerator), f"{self.generator!r} needs modality and __call__(sample, rng)"
        assert self.generator.modality == self.reads.name, (
            f"this generator reads {self.generator.modality!r}, not {self.reads.name!r}: set modality on it or on this class"
        )
        keys: dict[str, set[str]] = {}
        for sample in self.samples:
            made = self.views(sample)
            names = [v.name for v in made]
            if declared:
                assert set(names) <= set(declared), (
                    f"made {', '.join(names)}, but view_names says {', '.join(declared)}"
                )
                assert len(set(names)) == len(names), f"made {', '.join(names)}: a view twice"
            else:
                assert len(made) == 1, f"made {len(made)} views of a sample: declare their names in view_names"
            for v in made:
                wanted = made_modality(self.generator)
                assert v.modality == wanted, f"made a view of {v.modality!r}, not of {wanted!r}: declare it in makes"
                assert all(isinstance(x, Real) for x in v.meta.values()), f"a view's meta are numbers, not {v.meta!r}"
                assert keys.setdefault(v.name, set(v.meta)) == set(v.meta), (
                    "every view of a name has the same keys in meta"
                )

    @drawn(rows=of_samples, seed=SEEDS)
    def test_views_fit_into_one_batch(self, rows: list[int], seed: int) -> None:
        """The modality collates the views of any samples."""
        made: dict[str, list[View]] = {}
        for row in rows:
            for v in self.views(self.samples[row], seed):
                made.setdefault(v.name, []).append(v)
        for views in made.values():
            with must("the views of different samples must fit into one batch"):
                batch = collated(self.collates(views[0].modality), views)
            assert all(len(leaf) == len(views) for leaf in leaves_of(batch.data)), (
                "collate must give a row for each view"
            )

    def test_workers_make_the_same_views(self) -> None:
        """It can be sent to a worker started by spawn, and makes the same there."""
        sample = self.samples[0]
        with must("the generator in a worker process must do what it does here"):
            there = in_worker(self.generator, sample, np.random.default_rng(0))
        assert same(list(there), self.views(sample), 1e-6), "views must be the same in a worker process"

    def test_what_was_fitted_is_saved_and_loaded(self) -> None:
        """``fit``, ``state_dict`` through JSON and safetensors, ``load_state_dict``: another instance does the same."""
        if not hasattr(self.generator, "fit"):
            pytest.skip("nothing is fitted")
        for name in ("state_dict", "load_state_dict"):
            assert hasattr(self.generator, name), (
                f"a generator with fit needs {name}: what was fitted is saved with the run"
            )
        with must("state_dict must be a tree of dicts and lists of tensors, arrays and JSON values"):
            state = state_through_files(self.generator, self.folder / "fitted")
        other = self.make(modality=self.reads.name)
        with must("load_state_dict must take what state_dict gave"):
            other.load_state_dict(state)
        for sample in self.samples:
            again = list(other(sample, np.random.default_rng(0)))
            assert same(again, self.views(sample)), "views must be the same after load_state_dict"

    def test_batched_is_a_function_of_its_generator(self) -> None:
        """The batched form draws from its torch generator alone, and changes nothing."""
        self._has_batched()
        data, kept = self._plain(self.batchable), self._plain(self.batchable)
        made = []
        for seed in (1, 2):
            stir(seed)
            with unmoved_randomness("batched"):
                made.append(self._batched(data))
            assert same(data, kept), "batched must not change its batch in place: clone before writing"
        assert same(made[0], made[1]), "equal generators must give equal batches: draw from the given generator alone"
        if self.random:
            assert any(not same(made[0], self._batched(data, seed)) for seed in range(1, TRIES)), (
                "batched gives the same for every generator: draw from it, or set random = False on this class"
            )

    @drawn(examples=4, rows=lambda self: picks(len(self.batchable)))
    def test_batched_is_shaped_as_the_views_are(self, rows: list[int]) -> None:
        """Rows, shapes and dtypes are those of collated views."""
        self._has_batched()
        samples = [self.batchable[i] for i in rows]
        made = self._batched(self._plain(samples))
        wanted = collated(self.reads, [self.views(s)[0] for s in samples]).data
        assert tree_shape(made) == tree_shape(wanted), (
            f"batched gives rows of {tree_shape(made)}, but views collate to {tree_shape(wanted)}: make them equal"
        )
        assert all(len(leaf) == len(rows) for leaf in leaves_of(made)), "batched must give a row for each it gets"

    def test_batched_is_of_the_same_distribution(self) -> None:
        """Draws of one sample, by both forms: each element, how many of a row's change, and their sum."""
        self._has_batched()
        for sample in self.batchable[:2]:
            plain = self._plain([sample] * DRAWS)
            draws = collated(self.reads, [self.views(sample, seed)[0] for seed in range(DRAWS)]).data
            whole = self._batched(plain)
            assert same_distribution(features(draws, plain), features(whole, plain)), (
                "batched must be of the distribution of the views: some element, or how many change, is drawn otherwise"
            )

    def test_batched_keeps_rows_to_their_samples(self) -> None:
        """Among another sample's rows, in no order, a sample's have the distribution that they have alone."""
        self._has_batched()
        two = self._plain(self.batchable[:2])
        order = np.random.default_rng(0).integers(2, size=DRAWS)
        plain = rows_of(two, order.tolist())
        whole = self._batched(plain)
        for one in (0, 1):
            mine, alone = np.flatnonzero(order == one).tolist(), rows_of(two, [one] * (DRAWS // 2))
            among = features(rows_of(whole, mine), rows_of(plain, mine))
            assert same_distribution(among, features(self._batched(alone), alone)), (
                "a row of batched must be made of its own sample, whatever the other rows: keep the order, mix no rows"
            )

    def _has_batched(self) -> None:
        if not hasattr(self.generator, "batched"):
            pytest.skip("it has no batched form")

    def _plain(self, samples: list[Sample]) -> Any:
        """Samples as they are, collated: what the batched form gets."""
        name = self.reads.name
        return collated(self.reads, [View("", name, s.data[name]) for s in samples]).data

    def _batched(self, data: Any, seed: int = 0) -> Any:
        with must("batched(data, generator) must take a collated batch"):
            return run_batched(self.generator, data, torch.Generator().manual_seed(seed), {})


def features(data: Any, plain: Any) -> np.ndarray:
    """(n, F) float64: a batch's numbers, for each of its tensors how many differ from ``plain``, and their sum."""
    columns = []
    for leaf, before in zip(leaves_of(data), leaves_of(plain), strict=True):
        flat = leaf.double().flatten(1)
        columns += [flat, flat.nansum(1, keepdim=True)]
        if before.shape == leaf.shape:
            changed = (leaf != before) & ~(leaf.isnan() & before.isnan())
            columns.append(changed.flatten(1).sum(1, keepdim=True).double())
    return np.asarray(torch.cat(columns, 1).numpy())
