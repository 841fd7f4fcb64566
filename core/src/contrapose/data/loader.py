"""Batches of views, by worker processes or without."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader

from contrapose.config.schema import BalanceConfig, BucketsConfig
from contrapose.data.balance import BalancedSampler
from contrapose.data.buckets import BucketSampler, lengths_of
from contrapose.data.collate import Collate, MakeViews, ViewDataset
from contrapose.data.distinct import DistinctSampler
from contrapose.data.failure import lost_worker, no_memory_to_load
from contrapose.data.passes import LAP, SHARD, WINDOW, Made, Place, StreamDataset
from contrapose.data.sampler import EpochSampler
from contrapose.data.workers import worker_options
from contrapose.errors import ConfigError, ContraposeError, did_you_mean, warn
from contrapose.types import Batch, Modality, Reader, StreamReader


class Loader:
    """The batches of one epoch after another; ``len()`` counts those of a whole epoch.

    ``set_epoch(epoch, start_batch)`` chooses what the next iteration yields. The batches, on ``device``, don't depend on the
    number of workers.
    """

    def __init__(
        self, dataset: ViewDataset, sampler: EpochSampler, collate: Collate, workers: int, device: torch.device
    ) -> None:
        self.sampler = sampler
        self._make_views, self.rank, self.device = dataset.make_views, sampler.rank, device
        self.epoch = self.start_batch = 0
        self._loader: DataLoader[Any] = DataLoader(
            dataset, batch_sampler=sampler, collate_fn=collate, **worker_options(dataset, workers, device)
        )

    def set_epoch(self, epoch: int, start_batch: int = 0) -> None:
        """The epoch of the next iteration, and the batch in it to start at (a resume)."""
        self.epoch, self.start_batch = epoch, start_batch

    def __len__(self) -> int:
        return len(self.sampler)

    def __iter__(self) -> Iterator[Batch]:
        try:
            epoch = self.epoch
            finish = getattr(self._make_views, "finish", None)
            for number, batch in enumerate(self._batches(), self.start_batch):
                if isinstance(batch, ContraposeError):
                    raise batch
                here = batch.to(self.device, non_blocking=True)
                yield finish(here, epoch, number, self.rank) if finish else here
        except Exception as error:
            self.close()
            if dead := lost_worker(error):
                raise dead from error
            if isinstance(error, MemoryError):
                raise no_memory_to_load() from error
            raise

    def _batches(self) -> Iterator[Batch | ContraposeError]:
        self.sampler.set_epoch(self.epoch, self.start_batch)
        return iter(self._loader)

    def close(self) -> None:
        """End the workers; a further iteration starts new ones."""
        # DataLoader ends them only when it is collected: late after an error, whose traceback holds it, and then the
        # workers of another loader, which inherited it, may be the ones to try.
        iterator, self._loader._iterator = self._loader._iterator, None
        if iterator is not None and self._loader.num_workers:
            iterator._shutdown_workers()  # type: ignore[attr-defined]


class StreamLoader(Loader):
    """The batches of a stream: an epoch is ``steps`` of them, on every rank, wherever in a pass over the data that ends.

    Iterating goes on where the last iteration stopped, whatever ``set_epoch`` says; ``state()`` tells where that is, for
    ``restore``. ``steps`` None: one pass in the order of the data. Raises `ConfigError` where shards are too few for all workers.
    """

    def __init__(
        self, dataset: StreamDataset, collate: Collate, steps: int | None, workers: int, device: torch.device
    ) -> None:
        shards, readers = len(dataset.reader.shards), dataset.world * len(dataset.places)
        if shards < readers:
            raise ConfigError(
                f"a shard has one reader, and there are {shards} for {readers}, {len(dataset.places)} in each process: "
                + ("write more" if shards < dataset.world else f"set it to at most {shards // dataset.world}"),
                ("train", "workers"),
            )
        self.dataset, self.steps = dataset, steps
        self._make_views, self.rank, self.device = dataset.make_views, dataset.rank, device
        self.epoch = self.start_batch = 0
        placed: Any = _Placed(collate)
        self._loader: DataLoader[Any] = DataLoader(
            dataset, batch_size=None, collate_fn=placed, **worker_options(dataset, workers, device)
        )
        self._running: Iterator[Any] | None = None

    def __len__(self) -> int:
        if self.steps is None:
            raise TypeError("nobody knows how many batches a pass over a stream has")
        return self.steps

    def _batches(self) -> Iterator[Batch | ContraposeError]:
        places = self.dataset.places
        if self._running is None:
            self._running = iter(self._loader)
        for _ in itertools.count() if self.steps is None else range(self.start_batch, self.steps):
            made = next(self._running, None)
            if made is None:
                return
            if isinstance(made, ContraposeError):
                yield made
                return
            batch, own, place = made
            places[own], self.dataset.next = place, (own + 1) % len(places)
            if isinstance(batch, Batch):
                batch.skipped = [(i & (1 << LAP) - 1, what, why) for i, what, why in batch.skipped]
                for why in (why for _, what, why in batch.skipped if what == SHARD):
                    warn(why)
            yield batch

    def close(self) -> None:
        """See `Loader`."""
        super().close()
        self._running = None

    def state(self) -> dict[str, Any]:
        """Where this rank stands after its last batch, JSON-able."""
        data = self.dataset
        return {"data": data.reader.fingerprint(), "next": data.next, "places": [list(place) for place in data.places]}

    def restore(self, saved: Sequence[Mapping[str, Any]]) -> str | None:
        """Go on where the ranks stood, ``saved`` holding the state of each; or tell why a new pass begins instead."""
        data = self.dataset
        workers = {len(state["places"]) for state in saved}
        if len(saved) == data.world and workers == {len(data.places)}:
            mine = saved[data.rank]
            if mine["data"] == data.reader.fingerprint():
                data.next, data.places = mine["next"], [Place(*place) for place in mine["places"]]
                return None
        lap = 1 + max(Place(*place).lap for state in saved for place in state["places"])
        data.places = [Place(lap)] * len(data.places)
        return (
            f"saved by {len(saved)} processes of {max(workers)} workers, going on by {data.world} of {len(data.places)}, or with "
            "other shards: the stream begins a new pass, and what the old one has left is not seen in it"
        )


class _Placed:
    """Collate the items of a batch, which keeps its place."""

    def __init__(self, collate: Collate) -> None:
        self.collate = collate

    def __call__(self, made: Made | ContraposeError) -> Any:
        return made if isinstance(made, ContraposeError) else (self.collate(made[0]), *made[1:])


def make_loader(
    reader: Reader,
    make_views: MakeViews,
    modalities: Mapping[str, Modality],
    batch_size: int,
    *,
    seed: int = 0,
    rank: int = 0,
    world: int = 1,
    workers: int = 0,
    shuffle: bool = True,
    drop_last: bool = True,
    balance: BalanceConfig | None = None,
    together: str | None = None,
    distinct: str | None = None,
    buckets: BucketsConfig | None = None,
    window: int | None = None,
    steps: int | None = None,
    device: torch.device | str = "cpu",
) -> Loader:
    """Load batches of views of ``reader``'s samples.

    ``make_views`` is ``plan.maker(seed)``; ``modalities`` collate its views, by name; ``batch_size`` is global, of
    which rank ``rank`` of ``world`` gets its part; ``balance`` evens out a column's values
    (`BalancedSampler`); ``together`` is a column whose equal samples come next to each other, ``distinct`` one whose equal samples
    never meet in a batch (`DistinctSampler`), ``buckets`` makes batches of like lengths (`BucketSampler`), ``window`` is the
    number of samples that are shuffled together (`EpochSampler`);
    ``device`` is where the batches are wanted.
    Of a stream an epoch is ``steps`` batches, and without ``shuffle`` it is read once, in its order, by this process.
    Raises `ConfigError` if there is no whole batch and ``drop_last``, no column ``together`` or ``distinct``, a ``balance`` that
    can't be had, orders that exclude each other, or too few shards.
    """
    if isinstance(reader, StreamReader):
        ordered = {"together": together, "distinct": distinct, "balance": balance, "buckets": buckets}
        for name, said in ordered.items():
            if said is not None:
                raise ConfigError("a stream's samples come as they are read; leave it out", ("train", name))
        if batch_size < world:
            raise ConfigError(f"a batch of {batch_size} leaves some of {world} processes none", ("train", "batch_size"))
        workers = workers if shuffle else 0  # several would take turns by the batch, and the order would be lost
        size = batch_size * (rank + 1) // world - batch_size * rank // world
        data = StreamDataset(reader, make_views, size, seed, rank, world, workers, shuffle, window or WINDOW)
        return StreamLoader(
            data, Collate(make_views.names, modalities, reader.meta), steps, workers, torch.device(device)
        )
    columns = reader.meta if hasattr(reader, "meta") else {k: np.asarray(v).dtype for k, v in reader[0].meta.items()}
    if balance is not None:
        _alone("balance", together=together, distinct=distinct, buckets=buckets, window=window)
        values, names = _values(reader, balance.by, ("train", "balance", "by"))
        if columns[balance.by].kind == "f":
            raise ConfigError(
                f"{balance.by!r} holds fractions; balance by words or whole numbers", ("train", "balance", "by")
            )
        sampler: EpochSampler = BalancedSampler(
            values, batch_size, seed, rank, world, drop_last, balance.power, balance.batches == "one", names
        )
    elif distinct is not None:
        _alone("distinct", together=together, buckets=buckets, window=window)
        values = _values(reader, distinct, ("train", "distinct"))[0]
        sampler = DistinctSampler(values, batch_size, seed, rank, world, drop_last, distinct)
    elif buckets is not None:
        _alone("buckets", together=together, window=window)
        if buckets.of not in modalities:
            raise ConfigError(
                f"it is no modality of the views{did_you_mean(buckets.of, modalities)}", ("train", "buckets", "of")
            )
        lengths = lengths_of(reader, modalities[buckets.of])
        sampler = BucketSampler(lengths, batch_size, seed, rank, world, drop_last, buckets.window)
    else:
        groups = None if together is None else _values(reader, together, ("train", "together"))[0]
        sampler = EpochSampler(len(reader), batch_size, seed, rank, world, shuffle, drop_last, groups, window)
    collate = Collate(make_views.names, modalities, columns)
    return Loader(ViewDataset(reader, make_views), sampler, collate, workers, torch.device(device))


def _alone(order: str, **others: Any) -> None:
    for name, said in others.items():
        if said is not None:
            raise ConfigError(f"{order} has an order of its own; leave one of them out", ("train", name))


def _values(reader: Reader, column: str, path: tuple[str, ...]) -> tuple[np.ndarray, dict[int, str]]:
    """A number for each sample's value of a column, -1 where it has none, and what messages call the values."""
    known = list(getattr(reader, "meta", ()) or reader[0].meta)
    if column not in known:
        raise ConfigError(f"no column {column!r} under meta:{did_you_mean(column, known)}", path)
    rows = range(len(reader))
    values = np.asarray(reader.column(column) if hasattr(reader, "column") else [reader[i].meta[column] for i in rows])
    found, codes = np.unique(values, return_inverse=True)
    words = dict(enumerate(getattr(reader, "vocabularies", {}).get(column, ())))
    names = {code: str(words.get(value, f"{column} {value:g}")) for code, value in enumerate(found.tolist())}
    none = (values == -1) | (values != values)  # what readers write for an empty cell
    return np.where(none, -1, codes), {**names, -1: f"no {column}"}
