"""A balanced order: its shares, who repeats and who takes turns, by (seed, epoch) alone, whatever ranks, workers and resume."""

from __future__ import annotations

import numpy as np
import pytest
from tests.core.test_loader import Memory, epochs, loader

from contrapose.config.schema import BalanceConfig
from contrapose.data import BalancedSampler
from contrapose.data.balance import TURN, rotated
from contrapose.errors import ConfigError

SIZES = (700, 40, 260)
VALUES = np.random.default_rng(0).permutation(np.repeat(np.arange(3), SIZES))


def batches(epoch=0, start=0, **options):
    made = BalancedSampler(**{"values": VALUES, "batch_size": 50, "seed": 1, **options})
    made.set_epoch(epoch, start)
    return list(made)


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0])
def test_shares_are_a_power_of_the_sizes_in_each_batch(power):
    wanted = np.array(SIZES) ** power
    wanted = wanted / wanted.sum()
    made = batches(power=power)
    counts = np.array([np.bincount(VALUES[[i for _, i in batch]], minlength=3) for batch in made])
    assert counts.sum() == 1000
    assert counts.shape == (20, 3)
    assert np.abs(counts.sum(0) - 1000 * wanted).max() < 1
    assert np.abs(counts - 50 * wanted).max() < 4
    assert all(len({i for _, i in batch}) == 50 for batch in made)  # never twice in a batch
    if power == 1:
        assert sorted(i for batch in made for _, i in batch) == list(range(1000))


def test_what_repeats_comes_equally_often_and_draws_other_views():
    times = np.zeros(1000, int)
    for epoch in range(40):
        draws = [draw for batch in batches(epoch) for draw in batch]
        assert len(set(draws)) == 1000
        count = np.bincount([i for _, i in draws], minlength=1000)
        assert count.max() - count[VALUES == 1].min() <= 1
        assert count[VALUES == 1].max() == 9
        assert count[VALUES != 1].max() <= 2
        assert {key & (1 << TURN) - 1 for key, _ in draws} == {epoch}
        times += count
    for value in range(3):
        assert np.ptp(times[value == VALUES]) <= 1


@pytest.mark.parametrize("size", [1, 2, 5, 12, 13])
def test_turns_go_through_all_before_any_comes_again(size):
    for count in range(size):
        seen = np.zeros(size, int)
        for epoch in range(3 * size):
            now = rotated(size, count, epoch, 7)
            assert len(set(now.tolist())) == count
            seen[now] += 1
            assert np.ptp(seen) <= 1
    assert len({tuple(sorted(rotated(12, 6, epoch, 7))) for epoch in range(8)}) > 2  # dealt anew each time


def test_ranks_and_a_resume_see_the_same_batches():
    whole = batches(3)
    assert whole == batches(3) != batches(4)
    assert whole != batches(3, seed=2)
    parts = [batches(3, rank=r, world=3) for r in range(3)]
    assert [a + b + c for a, b, c in zip(*parts, strict=True)] == whole
    assert batches(3, start=7) == whole[7:]


@pytest.mark.parametrize(("power", "shares"), [(0.0, [14, 13, 13]), (1.0, [28, 2, 10])])
def test_a_batch_may_be_of_one_value(power, shares):
    made = batches(2, power=power, whole=True, batch_size=25, drop_last=False)
    kinds = [{int(VALUES[i]) for _, i in batch} for batch in made]
    assert all(len(kind) == 1 and len({i for _, i in b}) == 25 for kind, b in zip(kinds, made, strict=True))
    assert np.bincount([min(kind) for kind in kinds]).tolist() == shares
    assert kinds != sorted(kinds, key=min)
    assert batches(2, power=power, whole=True, batch_size=25, start=30) == made[30:]


def test_small_values_meet_in_no_batch_twice():
    values = np.repeat(np.arange(31), [70, *[1] * 30])  # 30 classes of one sample each
    made = batches(values=values, batch_size=10)
    assert all(len({i for _, i in batch}) == len(batch) > 7 for batch in made)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"batch_size": 200}, "1 has 40 samples, and 66 of each batch would be of it: set .*batch_size lower, or .*power higher"),
        ({"batch_size": 50, "whole": True}, "1 has 40 samples, and 50 of each batch would be of it: set train.batch_size lower"),
        ({"values": np.arange(30), "batch_size": 10, "whole": True}, "30 values don't fit into the 3 batches of an epoch"),
    ],
)  # fmt: skip
def test_shares_that_cannot_be_are_refused(options, why):
    with pytest.raises(ConfigError, match=why) as error:
        batches(**options)
    assert error.value.path == ("train", "balance")


def by(column, **more):
    return BalanceConfig(by=column, **more)


@pytest.mark.filterwarnings("ignore:This DataLoader will create")
def test_a_loader_balances_by_a_column_whatever_its_workers():
    whole = epochs(loader(Memory(30), balance=by("label"), batch_size=6), 1)
    labels = np.array([m["label"][1] for _, _, m, _ in whole])
    assert labels.shape == (5, 6)
    assert np.ptp(np.bincount(labels.ravel())) <= 1
    assert epochs(loader(Memory(30), balance=by("label"), batch_size=6, workers=2), 1) == whole
    assert epochs(loader(Memory(30), balance=by("label"), batch_size=6), 1, start=3) == whole[3:]
    one = epochs(loader(Memory(40), balance=by("label", batches="one"), batch_size=8), 1)
    assert all(len(set(m["label"][1])) == 1 for _, _, m, _ in one)
    assert len(one) == 5


def test_a_sample_that_comes_again_has_other_views():
    reader = Memory(24)
    reader.column = lambda name: np.array([0] * 4 + [1] * 20)
    seen: dict[int, set[float]] = {}
    for samples, views, _, _ in epochs(loader(reader, balance=by("label"), batch_size=6), 0):
        for sample, pulse in zip(samples, views["pulse/0"][0][1], strict=True):
            assert pulse[0] not in seen.setdefault(sample, set())
            seen[sample].add(pulse[0])
    assert {len(seen[100 + i]) for i in range(4)} == {3}


@pytest.mark.parametrize(
    ("options", "why", "path"),
    [
        ({"balance": by("lable")}, "no column 'lable' under meta:; did you mean 'label'", ("balance", "by")),
        ({"balance": by("time")}, "'time' holds fractions; balance by words or whole numbers", ("balance", "by")),
        ({"balance": by("label"), "together": "label"}, "balance has an order of its own", ("together",)),
        ({"balance": by("label"), "window": 8}, "balance has an order of its own", ("window",)),
    ],
)
def test_what_does_not_go_with_it_is_refused(options, why, path):
    with pytest.raises(ConfigError, match=why) as error:
        loader(**options)
    assert error.value.path == ("train", *path)
