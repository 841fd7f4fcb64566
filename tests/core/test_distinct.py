"""Batches that hold no value of a column twice."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.core.test_loader import loader

from contrapose.data.distinct import DistinctSampler
from contrapose.errors import ConfigError, ContraposeWarning


def batches(sampler: DistinctSampler, epoch: int = 0) -> list[list[int]]:
    sampler.set_epoch(epoch)
    return [[position for _, position in batch] for batch in sampler]


def most_batches(values: np.ndarray, size: int) -> int:
    """How many batches of different values there can be, by filling them from the most frequent values on."""
    _, left = np.unique(np.where(values < 0, -1 - np.arange(len(values)), values), return_counts=True)
    made = 0
    while (left > 0).sum() >= size:
        left[np.argsort(-left, kind="stable")[:size]] -= 1
        made += 1
    return made


@settings(max_examples=30, deadline=None)
@given(values=st.lists(st.integers(-1, 6), min_size=3, max_size=40), size=st.integers(1, 5), drop=st.booleans())
def test_no_batch_has_a_value_twice_and_no_more_batches_could_be_had(values, size, drop):
    values = np.array(values)
    most = most_batches(values, size)
    if len(values) < size or (drop and not most):
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ContraposeWarning)
        sampler = DistinctSampler(values, size, drop_last=drop)
    for epoch in (0, 1):
        made = batches(sampler, epoch)
        assert len(made) == len(sampler)
        assert sampler.order(epoch).tolist() == [p for batch in made for p in batch]
        for batch in made:
            known = [v for v in values[batch] if v >= 0]
            assert len(known) == len(set(known))
            assert len(batch) == size if drop else 1 <= len(batch) <= size
        seen = [p for batch in made for p in batch]
        assert len(seen) == len(set(seen))
        assert len(made) == most if drop else sorted(seen) == list(range(len(values)))


def test_the_order_is_a_function_of_seed_and_epoch_and_ranks_part_it():
    values = np.arange(60) // 2
    whole = batches(DistinctSampler(values, 10, seed=1), 3)
    assert whole == batches(DistinctSampler(values, 10, seed=1), 3)
    assert whole != batches(DistinctSampler(values, 10, seed=1), 4)
    parts = [batches(DistinctSampler(values, 10, seed=1, rank=r, world=3), 3) for r in range(3)]
    assert [a + b + c for a, b, c in zip(*parts, strict=True)] == whole
    resumed = DistinctSampler(values, 10, seed=1)
    resumed.set_epoch(3, 2)
    assert [[p for _, p in batch] for batch in resumed] == whole[2:]


def test_any_two_samples_of_other_values_meet_as_often():
    values = np.array([0, 0, 1, 1, *range(2, 14)])
    sampler, met = DistinctSampler(values, 4, seed=0), np.zeros((16, 16))
    for epoch in range(200):
        for batch in batches(sampler, epoch):
            met[np.ix_(batch, batch)] += 1
    assert met[0, 1] == met[2, 3] == 0
    others = met[np.triu_indices(16, 1)]
    assert others[others > 0].min() > 0.6 * others.mean()
    assert others.max() < 1.6 * others.mean()


def test_what_has_to_wait_is_said_and_takes_turns():
    values = np.array([0] * 20 + list(range(1, 21)))
    with pytest.warns(ContraposeWarning, match="16 of 40 samples wait in each epoch"):
        sampler = DistinctSampler(values, 4, name="caption")
    assert len(sampler) == 6
    seen = {p for epoch in range(20) for batch in batches(sampler, epoch) for p in batch}
    assert seen == set(range(40))
    with pytest.raises(ConfigError, match=r"'caption' has 3 values.*batch_size to at most 3") as error:
        DistinctSampler(np.arange(30) % 3, 4, name="caption")
    assert error.value.path == ("train", "distinct")


def test_a_column_keeps_equal_samples_apart():
    for batch in loader(batch_size=3, distinct="label"):
        assert len(set(batch.meta["label"].tolist())) == 3
    with pytest.raises(ConfigError, match="no column 'lable' under meta:; did you mean 'label'") as error:
        loader(distinct="lable")
    assert error.value.path == ("train", "distinct")
    with pytest.raises(ConfigError, match="distinct has an order of its own"):
        loader(distinct="label", window=6)
