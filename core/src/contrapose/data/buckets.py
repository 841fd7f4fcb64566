"""An order of samples in which those of a batch are of like length, still a function of (seed, epoch)."""

from __future__ import annotations

from itertools import islice

import numpy as np

from contrapose.data.failure import raise_if_fatal
from contrapose.data.sampler import EpochSampler, rng_of
from contrapose.data.samples import read_sample
from contrapose.errors import ConfigError
from contrapose.types import Modality, Reader

_AT_ONCE = 1024


class BucketSampler(EpochSampler):
    """Batches of samples of like length, in random order: what is as long as the rest of its batch needs no filling up.

    The shuffled samples are sorted within windows of ``window`` batches, each window is cut into batches, and these are
    shuffled over the whole epoch, as are the samples of a batch, so that ranks have equal work. Every sample comes once an
    epoch, but for what ``drop_last`` leaves over, other samples each time.

    Args:
        lengths: each sample's length (size,), in any unit.
        window: so many batches are sorted together. The more, the more alike a batch's lengths, and the fewer the samples that a
            sample may meet as its negatives: about those of a ``1 / window`` share of all lengths.
    """

    def __init__(
        self,
        lengths: np.ndarray,
        batch_size: int,
        seed: int = 0,
        rank: int = 0,
        world: int = 1,
        drop_last: bool = True,
        window: int = 50,
    ) -> None:
        super().__init__(len(lengths), batch_size, seed, rank, world, drop_last=drop_last)
        self.lengths, self._sorted = np.asarray(lengths), window * batch_size

    def order(self, epoch: int) -> np.ndarray:
        """Positions in the order of an epoch, whole batches one after another, and at the end what fills none."""
        rng = rng_of(self.seed, epoch)
        order = rng.permutation(self.size)
        count = self.size // self.batch_size
        whole, left = np.split(order, [count * self.batch_size])
        window = np.arange(len(whole)) // self._sorted
        batches = whole[np.lexsort((self.lengths[whole], window))].reshape(count, self.batch_size)
        return np.concatenate([rng.permuted(batches[rng.permutation(count)], axis=1).reshape(-1), left])


def lengths_of(reader: Reader, modality: Modality) -> np.ndarray:
    """How long each sample is, (size,) float64, as its modality tells by ``lengths(items)``; 0 where it has none of it.

    Reads every sample of that modality once. Raises ``ConfigError`` for a modality that doesn't tell.
    """
    if not hasattr(modality, "lengths"):
        raise ConfigError(f"{modality.name} doesn't tell how long its data are", ("train", "buckets", "of"))
    name = modality.name
    alone = reader.only(name) if hasattr(reader, "only") else reader
    found = np.zeros(len(reader))
    left = iter(range(len(reader)))
    while some := list(islice(left, _AT_ONCE)):
        items = {}
        for position in some:
            sample, failed = read_sample(alone, position)
            for what, error in failed:
                raise_if_fatal(error, f"modality {what!r}")
            if name in sample.data:
                items[position] = sample.data[name]
        if items:
            found[list(items)] = modality.lengths(list(items.values()))
    return found
