"""A balanced order of samples: values of a column (datasets, classes) in shares of one's own, still a function of (seed, epoch)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from contrapose.data.sampler import EpochSampler, rng_of
from contrapose.errors import ConfigError

TURN = 32
"""The bit of a draw's epoch from which on it has its turn: that of a sample which comes again in an epoch draws other views."""


class BalancedSampler(EpochSampler):
    """Batches in which the samples of value v have a share of ``size_v ** power``: 1 as they are, 0 equal shares.

    An epoch has as many draws as there are samples. What has too few samples for its share repeats: each of its samples comes as
    often as any other, or once more; whose turn the one more is goes through all of them, epoch by epoch. What has too many
    is gone through in the same way: every sample comes once before any comes again. A value's draws are spread over the epoch, so
    that each batch holds about its share, and a sample comes at most once in a batch.

    Args:
        values: each sample's value (size,) int64; -1, no value, is one like the others.
        names: what messages call the values, by value.
        power: of a value's size, from 0 to 1.
        whole: each batch is of one value; an epoch has whole batches alone, at least one of each value.

    Raises:
        ConfigError: a value's samples don't fill its share of a batch, or there are more values than batches.
    """

    def __init__(
        self,
        values: np.ndarray,
        batch_size: int,
        seed: int = 0,
        rank: int = 0,
        world: int = 1,
        drop_last: bool = True,
        power: float = 0.0,
        whole: bool = False,
        names: dict[int, str] | None = None,
    ) -> None:
        super().__init__(len(values), batch_size, seed, rank, world, drop_last=drop_last or whole)
        self.whole = whole
        found, sizes = np.unique(values, return_counts=True)
        self._members = np.split(np.argsort(values, kind="stable"), np.cumsum(sizes)[:-1])
        unit, units = (batch_size, len(self)) if whole else (1, len(values))
        if len(found) > units:
            raise ConfigError(
                f"{len(found)} values don't fit into the {units} batches of an epoch: set train.batch_size lower",
                ("train", "balance"),
            )
        self._counts = _apportioned(units, sizes.astype(float) ** power) * unit
        shares = np.full(len(found), batch_size) if whole else self._counts * batch_size // len(values)
        if (short := np.flatnonzero(shares > sizes)).size:
            v = short[0]
            name = (names or {}).get(int(found[v]), str(found[v]))
            raise ConfigError(
                f"{name} has {sizes[v]} samples, and {shares[v]} of each batch would be of it: set train.batch_size lower"
                + ("" if whole else ", or train.balance.power higher"),
                ("train", "balance"),
            )

    def order(self, epoch: int) -> np.ndarray:
        """Positions in the order of an epoch's draws."""
        return self.draws(epoch)[0]

    def draws(self, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        """Positions in the order of an epoch's draws, and how often each came in it before, both int64."""
        rng = rng_of(self.seed, epoch)
        positions, turns, times = [], [], []
        for v, (members, count) in enumerate(zip(self._members, self._counts.tolist(), strict=True)):
            more = rotated(len(members), count % len(members), epoch, self.seed, v)
            others = np.delete(np.arange(len(members)), more)
            # One order for all turns, those that have one turn more at its head: what comes again is as far off as can be.
            once = np.concatenate([rng.permutation(more), rng.permutation(others)])
            number = np.arange(count)
            positions.append(members[np.resize(once, count)])
            turns.append(number // len(members))
            times.append((number + rng.random(count)) / count)
        drawn, turn = np.concatenate(positions), np.concatenate(turns)
        if not self.whole:
            order = np.argsort(np.concatenate(times), kind="stable")
            return drawn[order], turn[order]
        batches = rng.permutation(len(self))
        return tuple(of.reshape(-1, self.batch_size)[batches].reshape(-1) for of in (drawn, turn))  # type: ignore[return-value]

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        epoch = self.epoch
        positions, turns = self.draws(epoch)
        for k in range(self.start_batch, len(self)):
            part = slice(k * self.batch_size, (k + 1) * self.batch_size)
            _, first = np.unique(positions[part], return_index=True)  # a small value's turns may meet in a batch
            first.sort()
            keys = epoch + (turns[part][first] << TURN)
            yield self.own(list(zip(keys.tolist(), positions[part][first].tolist(), strict=True)))


def rotated(size: int, count: int, epoch: int, *seeds: int) -> np.ndarray:
    """``count`` < ``size`` different numbers below ``size``: epoch by epoch they go through permutation after permutation.

    So each number comes once before any comes again, and ``epoch`` alone says which come now.
    """
    if 2 * count > size:  # then those that are left out do so
        return np.delete(np.arange(size), rotated(size, size - count, epoch, *seeds))

    def permutation(number: int) -> np.ndarray:
        return rng_of(*seeds, number, size).permutation(size)

    def turn(number: int) -> np.ndarray:
        order = permutation(number)
        left = (
            number * size % count
        )  # so many of the epoch in which it begins are of the turn before, and mustn't come again
        if left:
            head = order[:count]
            order[:count] = head[np.argsort(np.isin(head, permutation(number - 1)[-left:]), kind="stable")]
        return order

    if not count:
        return np.arange(0)
    number, at = divmod(epoch * count, size)
    taken = turn(number)[at : at + count]
    return taken if len(taken) == count else np.concatenate([taken, turn(number + 1)[: count - len(taken)]])


def _apportioned(total: int, weights: np.ndarray) -> np.ndarray:
    """Whole numbers by largest remainder (Hamilton), at least 1 each, that add up to ``total``."""
    exact = total * weights / weights.sum()
    counts = np.floor(exact).astype(np.int64)
    counts[np.argsort(counts - exact, kind="stable")[: total - counts.sum()]] += 1
    for none in np.flatnonzero(counts == 0):
        counts[counts.argmax()] -= 1
        counts[none] = 1
    return counts
