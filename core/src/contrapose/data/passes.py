"""The order of a stream: which process and worker reads which shard when, and in what order its samples are given."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

import numpy as np
from torch import Tensor
from torch.utils.data import IterableDataset, get_worker_info

from contrapose.data.collate import Item, MakeViews
from contrapose.data.failure import no_memory_to_load
from contrapose.errors import ContraposeError, DataError, Unreachable
from contrapose.types import Raw, StreamReader

WINDOW = 1024
"""So many samples are shuffled together where ``train.window`` is left out."""
SHARD = "shard"
"""What is listed as skipped, in the place of a modality, where the rest of a shard is damaged."""
LAP = 54
"""The bit of a sample's id from which on a batch has the number of its pass, below which there are 2^22 shards of 2^32 samples."""


class Place(NamedTuple):
    """How far a worker has come: which pass over the data (``lap``), and of the block that it gives, the first row's shard (its
    place among the worker's own of this pass), that row's number in it, and how many samples of the block are given."""

    lap: int = 0
    shard: int = 0
    row: int = 0
    taken: int = 0


Made = tuple[list[Item], int, Place]
"""The items of a batch, whose worker made it, and the place after it."""


class StreamDataset(IterableDataset[Made | ContraposeError]):
    """Batches of items, without end: one pass over the data after another.

    In each pass the shards are shuffled by (seed, pass) and dealt out over ranks and workers, so that each sample has one reader;
    nobody waits for another to end a pass. A worker gives its samples in blocks of ``window``, each shuffled by (seed, pass, first
    row), while it reads the next. Views are those of (seed, pass, sample). ``shuffle`` False gives one pass in the data's order.

    As others may be in another pass, a batch may hold a sample twice: so items bear the pass in their ids (`LAP`), and are two.

    A worker goes on at its `Place` of ``places``; worker 0 of torch is the one numbered ``next`` of ours, whose batch is due.
    """

    def __init__(
        self,
        reader: StreamReader,
        make_views: MakeViews,
        batch: int,
        seed: int,
        rank: int,
        world: int,
        workers: int,
        shuffle: bool,
        window: int,
    ) -> None:
        self.reader, self.make_views, self.batch, self.seed = reader, make_views, batch, seed
        self.rank, self.world, self.shuffle, self.window = rank, world, shuffle, window if shuffle else 1
        self.places = [Place()] * max(1, workers)
        self.next = 0

    def __iter__(self) -> Iterator[Made | ContraposeError]:
        info = get_worker_info()
        own = ((info.id if info else 0) + self.next) % len(self.places)
        try:
            yield from self._batches(own)
        except ContraposeError as error:  # given, as a worker would wrap it in a traceback
            yield error
        except MemoryError:
            yield no_memory_to_load()

    def _batches(self, own: int) -> Iterator[Made]:
        items: list[Item] = []
        for place, raw in self._order(own):
            items.append(self._item(raw, place.lap))
            if len(items) == self.batch:
                yield items, own, place
                items = []
        if items:
            yield items, own, place

    def _item(self, raw: Raw, lap: int) -> Item:
        own = raw.id + (lap % 256 << LAP)
        if is_damage(raw):
            return Item(own, {}, [], [("", *why) for why in raw.failed])
        sample, unread = self.reader.load(raw)
        views, failed = self.make_views(sample, lap)
        return Item(own, sample.meta, views, [("", *why) for why in unread] + failed)

    def _order(self, own: int) -> Iterator[tuple[Place, Raw]]:
        """The rows in the order of batches, each with the place after it."""
        lap, shard, row, taken = self.places[own]
        while True:
            alive, why = bool(shard or row), ""  # alive: this pass has given a sample
            rows = self._rows(lap, own, shard, row)
            block = list(islice(rows, self.window))
            while block:
                at, number, first = block[0]
                following: list[tuple[int, int, Raw]] = []
                for k, i in enumerate(self._rng(lap, first.id).permutation(len(block)).tolist(), 1):
                    following += islice(rows, 1)
                    raw = block[i][2]
                    if is_damage(raw):
                        why = f": {raw.failed[0][1]}"
                    else:
                        alive = True
                    if k > taken:
                        yield Place(lap, at, number, k), raw
                block, taken = following, 0
            if not self.shuffle:
                return
            if not alive:
                raise DataError(f"no sample in the {len(self._own(lap, own))} shards of a worker{why}")
            lap, shard, row = lap + 1, 0, 0

    def _rows(self, lap: int, own: int, first: int, start: int) -> Iterator[tuple[int, int, Raw]]:
        """The worker's rows of a pass as they are read, each with its place; a damaged shard ends in one that says so."""
        for at, shard in enumerate(self._own(lap, own)[first:], first):
            row = start if at == first else 0
            try:
                for raw in self.reader.rows(shard, row):
                    yield at, row, raw
                    row += 1
            except Unreachable:
                raise
            except DataError as error:
                yield at, row, Raw((shard << 32) + row, {}, [(SHARD, error)])

    def _own(self, lap: int, own: int) -> list[int]:
        """The shards that a worker reads in a pass."""
        count = len(self.reader.shards)
        order = self._rng(lap).permutation(count) if self.shuffle else np.arange(count)
        return order[self.rank * len(self.places) + own :: self.world * len(self.places)].tolist()

    def _rng(self, *key: int) -> np.random.Generator:
        return np.random.Generator(np.random.PCG64(np.random.SeedSequence((self.seed, *key))))


def own_ids(samples: Tensor) -> Tensor:
    """The ids (n,) int64 of samples as their reader has them, without the number of a pass."""
    return samples & ((1 << LAP) - 1)


def is_damage(raw: Raw) -> bool:
    """Whether a row stands for the rest of a shard that can't be read."""
    return bool(raw.failed) and raw.failed[0][0] == SHARD
