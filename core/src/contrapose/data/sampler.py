"""The order of samples: a function of (seed, epoch), whatever the ranks, the workers and the place of a resume."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from torch.utils.data import Sampler

from contrapose.errors import ConfigError

BLOCKS = 16
"""So many blocks of neighbours are shuffled together in a window."""


class EpochSampler(Sampler[list[tuple[int, int]]]):
    """Batches of (epoch, position). ``batch_size`` is global: rank r takes the r-th contiguous part of each batch.

    ``groups`` (size,) int64 keeps the samples of one group next to each other in the shuffled order, so that batches hold
    positives that a relation like ``same(group)`` finds; -1 is a group of one. ``window``, for data on slow disks, shuffles within
    so many samples at a time: those of 16 blocks of neighbours, which come in random order, so that a batch reads from few places.
    ``len()`` is the number of batches in a whole epoch.
    Raises `ConfigError` if ``drop_last`` would leave none.
    """

    def __init__(
        self,
        size: int,
        batch_size: int,
        seed: int = 0,
        rank: int = 0,
        world: int = 1,
        shuffle: bool = True,
        drop_last: bool = True,
        groups: np.ndarray | None = None,
        window: int | None = None,
    ) -> None:
        if drop_last and size < batch_size:
            raise ConfigError(
                f"{size} samples don't fill one batch of {batch_size}; "
                f"set train.batch_size to at most {size}, or train.drop_last to false",
                ("train", "batch_size"),
            )
        if batch_size < world:
            raise ConfigError(f"a batch of {batch_size} leaves some of {world} processes none", ("train", "batch_size"))
        self.size, self.batch_size, self.seed = size, batch_size, seed
        self.rank, self.world = rank, world
        self.shuffle, self.drop_last, self.groups, self.window = shuffle, drop_last, groups, window
        self.epoch = 0
        self.start_batch = 0

    def set_epoch(self, epoch: int, start_batch: int = 0) -> None:
        """The epoch of the next iteration, and the batch in it to start at."""
        self.epoch, self.start_batch = epoch, start_batch

    def __len__(self) -> int:
        return self.size // self.batch_size if self.drop_last else -(-self.size // self.batch_size)

    def order(self, epoch: int) -> np.ndarray:
        """Positions (size,) int64 in the order of an epoch."""
        if not self.shuffle:
            return np.arange(self.size)
        rng = rng_of(self.seed, epoch)
        order = rng.permutation(self.size) if self.window is None else _windowed(self.size, self.window, rng)
        if self.groups is None:
            return order
        groups = np.where(self.groups < 0, -1 - np.arange(self.size), self.groups)[order]
        _, first, group = np.unique(groups, return_index=True, return_inverse=True)
        return order[np.argsort(first[group], kind="stable")]

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        epoch, order = self.epoch, self.order(self.epoch)
        for k in range(self.start_batch, len(self)):
            batch = order[k * self.batch_size : (k + 1) * self.batch_size]
            yield self.own([(epoch, position) for position in batch.tolist()])

    def own(self, batch: list[tuple[int, int]]) -> list[tuple[int, int]]:
        """This rank's part of a batch."""
        first, last = (len(batch) * r // self.world for r in (self.rank, self.rank + 1))
        return batch[first:last]


def rng_of(*key: int) -> np.random.Generator:
    """The generator of an order, whoever asks for it."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(key)))


def _windowed(size: int, window: int, rng: np.random.Generator) -> np.ndarray:
    """Positions (size,) in random blocks of neighbours, shuffled within windows of ``BLOCKS`` blocks."""
    block = max(1, window // BLOCKS)
    first = rng.permutation(-(-size // block)) * block
    order = (first[:, None] + np.arange(block)).reshape(-1)
    order = order[order < size]
    return order[np.lexsort((rng.random(size), np.arange(size) // (block * BLOCKS)))]
