"""An order of samples in which no batch holds a value of a column twice, still a function of (seed, epoch)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from contrapose.data.sampler import EpochSampler, rng_of
from contrapose.errors import ConfigError, warn


class DistinctSampler(EpochSampler):
    """Batches of samples that all differ in a column, so that no sample is a negative of its equal (a caption that comes twice).

    An epoch has as many batches as can be filled so. Samples are dealt out to them in turn, those of one value one after the other;
    what is left, other samples each epoch, waits for another. Without ``drop_last`` every sample comes, in batches of nearly one
    size.

    Args:
        values: each sample's value (size,) int64; -1, no value, equals no other.
        name: of the column, in messages.

    Raises:
        ConfigError: there are fewer values than a batch has samples.
    """

    def __init__(
        self,
        values: np.ndarray,
        batch_size: int,
        seed: int = 0,
        rank: int = 0,
        world: int = 1,
        drop_last: bool = True,
        name: str = "distinct",
    ) -> None:
        super().__init__(len(values), batch_size, seed, rank, world, drop_last=drop_last)
        alone = np.where(values < 0, -1 - np.arange(len(values)), values)
        _, self._values, sizes = np.unique(alone, return_inverse=True, return_counts=True)
        self._count = max(-(-self.size // batch_size), int(sizes.max()))
        if drop_last:
            # How many samples b batches can hold: b of a value, or all that it has.
            room = np.cumsum(len(sizes) - np.cumsum(np.bincount(sizes))[:-1])
            number = np.arange(1, len(room) + 1)
            most = number[room >= number * batch_size].max(initial=0)
            self._count = max(int(most), self.size // batch_size if len(room) == most else 0)
            if not self._count:
                raise ConfigError(
                    f"{name!r} has {len(sizes)} values, and the samples of a batch shall differ in it: set train.batch_size to at "
                    f"most {len(sizes)}",
                    ("train", "distinct"),
                )
            if (left := self.size - self._count * batch_size) >= batch_size:
                warn(
                    f"{left} of {self.size} samples wait in each epoch, other ones each time: too many share their {name!r} with "
                    "others (train.distinct)"
                )

    def __len__(self) -> int:
        return self._count

    def order(self, epoch: int) -> np.ndarray:
        """Positions in the order of an epoch, batch by batch."""
        return np.concatenate(self._batches(epoch))

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        epoch = self.epoch
        for batch in self._batches(epoch)[self.start_batch :]:
            yield self.own([(epoch, position) for position in batch.tolist()])

    def _batches(self, epoch: int) -> list[np.ndarray]:
        rng = rng_of(self.seed, epoch)
        shuffled = rng.permutation(self.size)
        place = rng.permutation(int(self._values.max()) + 1)[self._values]
        order = shuffled[np.argsort(place[shuffled], kind="stable")]  # values in random order, and each one's samples
        if self.drop_last:
            starts = np.flatnonzero(np.diff(place[order], prepend=-1))
            turn = np.arange(self.size) - np.repeat(starts, np.diff(starts, append=self.size))
            order = order[turn < self._count]
            taken = rng.permutation(len(order))[: self._count * self.batch_size]
            order = order[np.sort(taken)]
        return [order[k :: self._count] for k in range(self._count)]
