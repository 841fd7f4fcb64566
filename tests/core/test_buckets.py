"""Batches of samples of like length."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.core.test_distinct import batches
from tests.core.test_loader import MODALITIES, Memory, Ragged, epochs, plan

from contrapose.config.schema import BucketsConfig
from contrapose.data import make_loader
from contrapose.data.buckets import BucketSampler, lengths_of
from contrapose.data.sampler import EpochSampler
from contrapose.errors import ConfigError


class Long(Ragged):
    """It tells how long its data are."""

    def lengths(self, items):
        return [len(item) for item in items]


LONG = {**MODALITIES, "ragged": Long()}


def loader(modalities=LONG, reader=None, of="ragged", **options):
    buckets = BucketsConfig(of=of, window=2)
    return make_loader(reader or Memory(), plan().maker(3), modalities, 5, buckets=buckets, **options)


@settings(max_examples=40, deadline=None)
@given(
    lengths=st.lists(st.integers(0, 50), min_size=3, max_size=60),
    size=st.integers(1, 7),
    window=st.integers(1, 5),
    drop=st.booleans(),
)
def test_every_sample_comes_once_in_batches_as_ever(lengths, size, window, drop):
    if len(lengths) < size:
        return
    sampler = BucketSampler(np.array(lengths), size, drop_last=drop, window=window)
    plain = EpochSampler(len(lengths), size, drop_last=drop)
    for epoch in (0, 1):
        made, others = batches(sampler, epoch), batches(plain, epoch)
        assert [len(batch) for batch in made] == [len(batch) for batch in others]
        assert len(made) == len(sampler) == len(plain)
        seen = [p for batch in made for p in batch]
        assert len({*seen}) == len(seen) == (len(lengths) // size * size if drop else len(lengths))


def test_the_lengths_of_a_batch_are_neighbours_within_its_window():
    lengths = np.random.default_rng(0).permutation(1000)
    sampler = BucketSampler(lengths, 10, seed=1, window=10)
    for epoch in range(3):
        ordered = lengths[sampler.order(epoch)].reshape(-1, 10)
        spread = np.ptp(ordered, axis=1)
        assert spread.mean() < 1000 / 10 * 1.3
        windows = [{*w.tolist()} for w in EpochSampler(1000, 10, seed=1).order(epoch).reshape(-1, 100)]
        for batch in sampler.order(epoch).reshape(-1, 10):
            (mine,) = [w for w in windows if {*batch.tolist()} <= w]
            between = [p for p in mine if lengths[batch].min() < lengths[p] < lengths[batch].max()]
            assert {*between} <= {*batch.tolist()}, "no sample of the window lies between those of a batch"


def test_batches_and_the_samples_within_one_are_in_random_order():
    sampler = BucketSampler(np.arange(600), 6, window=100)
    order = sampler.order(0).reshape(-1, 6)
    assert abs(np.corrcoef(order.mean(axis=1), np.arange(100))[0, 1]) < 0.3, "not from short to long"
    assert abs(np.diff(order, axis=1).mean()) < 0.5
    first = order[:, :3].mean(), order[:, 3:].mean()
    assert first[0] == pytest.approx(first[1], abs=1), "ranks get the like"
    met = np.zeros((600, 600))
    sampler = BucketSampler(np.arange(600), 6, window=2)
    for epoch in range(100):
        for batch in sampler.order(epoch).reshape(-1, 6):
            met[np.ix_(batch, batch)] += 1
    assert (met[0] > 0).sum() > 100, "windows are of other samples each epoch"


def test_the_order_is_a_function_of_seed_and_epoch_and_ranks_part_it():
    lengths = np.random.default_rng(0).integers(1, 99, 62)
    whole = batches(BucketSampler(lengths, 10, seed=1, window=3), 3)
    assert whole == batches(BucketSampler(lengths, 10, seed=1, window=3), 3)
    assert whole != batches(BucketSampler(lengths, 10, seed=1, window=3), 4)
    assert whole != batches(BucketSampler(lengths, 10, seed=2, window=3), 3)
    parts = [batches(BucketSampler(lengths, 10, seed=1, rank=r, world=3, window=3), 3) for r in range(3)]
    assert [a + b + c for a, b, c in zip(*parts, strict=True)] == whole
    resumed = BucketSampler(lengths, 10, seed=1, window=3)
    resumed.set_epoch(3, 2)
    assert [[p for _, p in batch] for batch in resumed] == whole[2:]


def test_a_modality_tells_its_lengths():
    assert lengths_of(Memory(7, bad={4: "all"}), Long()).tolist() == [0, 1, 2, 0, 0, 2, 0]
    made = loader()
    lengths = lengths_of(Memory(), Long())
    alike = 0
    for epoch in range(5):
        made.set_epoch(epoch)
        alike += sum(len({*lengths[(batch.sample - 100).numpy()].tolist()}) <= 2 for batch in made)
    assert alike >= 15, "of 20 batches, of three lengths"
    assert epochs(loader(workers=1), 0, 1) == epochs(loader(), 0, 1)
    whole = epochs(loader(), 1)
    assert epochs(loader(), 1, start=2) == whole[2:]
    assert isinstance(next(iter(made)).sample, torch.Tensor)


def test_what_cannot_be_is_told():
    with pytest.raises(ConfigError, match="pulse doesn't tell how long its data are") as error:
        loader(of="pulse")
    assert error.value.path == ("train", "buckets", "of")
    with pytest.raises(ConfigError, match="it is no modality of the views; did you mean 'ragged'"):
        loader(of="raged")
    for other in ({"window": 6}, {"together": "label"}):
        with pytest.raises(ConfigError, match="buckets has an order of its own"):
            loader(**other)
    with pytest.raises(ConfigError, match="distinct has an order of its own"):
        loader(distinct="label")
