"""Batches of views, by worker processes or without."""

from __future__ import annotations

import pickle
import signal
import sys
from collections.abc import Iterator, Mapping

import numpy as np
import torch
from torch.utils.data import DataLoader

from contrapose.data.collate import Collate, MakeViews, ViewDataset
from contrapose.data.failure import lost_worker, no_memory_to_load
from contrapose.data.patience import Patience
from contrapose.data.sampler import EpochSampler
from contrapose.errors import ConfigError, ContraposeError, did_you_mean
from contrapose.types import Batch, Modality, Reader


class Loader:
    """The batches of one epoch after another; ``len()`` counts those of a whole epoch.

    ``set_epoch(epoch, start_batch)`` chooses what the next iteration yields. The batches, on ``device``, don't depend on the
    number of workers.
    """

    def __init__(
        self, dataset: ViewDataset, sampler: EpochSampler, collate: Collate, workers: int, device: torch.device
    ) -> None:
        self.dataset = dataset
        self.sampler = sampler
        self.device = device
        # Its own generator: DataLoader draws from it at every iteration, and the model's draws must not depend on that.
        forks = sys.platform == "linux"
        if workers and not forks:
            _require_sendable(dataset)
        self._loader = DataLoader(
            dataset,
            batch_sampler=sampler,
            collate_fn=collate,
            num_workers=workers,
            persistent_workers=workers > 0,
            pin_memory=device.type == "cuda",
            generator=torch.Generator(),
            worker_init_fn=_patient,
            # Forked workers start at once and touch no CUDA; elsewhere than on Linux forking isn't safe.
            multiprocessing_context="fork" if workers and forks else None,
        )

    def set_epoch(self, epoch: int, start_batch: int = 0) -> None:
        """The epoch of the next iteration, and the batch in it to start at (a resume)."""
        self.sampler.set_epoch(epoch, start_batch)

    def __len__(self) -> int:
        return len(self.sampler)

    def __iter__(self) -> Iterator[Batch]:
        try:
            epoch, first = self.sampler.epoch, self.sampler.start_batch
            finish = getattr(self.dataset.make_views, "finish", None)
            for number, batch in enumerate(self._loader, first):
                if isinstance(batch, ContraposeError):
                    raise batch
                here = batch.to(self.device, non_blocking=True)
                yield finish(here, epoch, number, self.sampler.rank) if finish else here
        except Exception as error:
            self.close()
            if dead := lost_worker(error):
                raise dead from error
            if isinstance(error, MemoryError):
                raise no_memory_to_load() from error
            raise

    def close(self) -> None:
        """End the workers; a further iteration starts new ones."""
        # DataLoader ends them only when it is collected: late after an error, whose traceback holds it, and then the
        # workers of another loader, which inherited it, may be the ones to try.
        iterator, self._loader._iterator = self._loader._iterator, None
        if iterator is not None and self._loader.num_workers:
            iterator._shutdown_workers()  # type: ignore[attr-defined]


def _require_sendable(dataset: ViewDataset) -> None:
    """Raise ``ConfigError`` where a started process, unlike a forked one, wouldn't find what a notebook defines."""
    interactive = not hasattr(sys.modules["__main__"], "__file__")
    if interactive and b"__main__" in pickle.dumps(dataset):
        raise ConfigError(
            "what is defined in a notebook can't be sent to worker processes here; set it to 0, or put the definitions "
            "into a file and import that",
            ("train", "workers"),
        )


def _patient(worker: int) -> None:
    """Let a worker overlook the first Ctrl-C or SIGTERM.

    Terminals and schedulers send them to all processes of a run, which still needs its workers to finish its step and save.
    """
    Patience().hold(later=signal.SIG_DFL)


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
    together: str | None = None,
    window: int | None = None,
    device: torch.device | str = "cpu",
) -> Loader:
    """Load batches of views of ``reader``'s samples.

    ``make_views`` is ``plan.maker(seed)``; ``modalities`` collate its views, by name; ``batch_size`` is global, of
    which rank ``rank`` of ``world`` gets its part; ``together`` is a column whose equal samples come next to each other,
    ``window`` the number of samples that are shuffled together (`EpochSampler`); ``device`` is where the batches are wanted.
    Raises `ConfigError` if there is no whole batch and ``drop_last``, or no column ``together``.
    """
    groups = None if together is None else _groups(reader, together)
    sampler = EpochSampler(len(reader), batch_size, seed, rank, world, shuffle, drop_last, groups, window)
    columns = reader.meta if hasattr(reader, "meta") else {k: np.asarray(v).dtype for k, v in reader[0].meta.items()}
    collate = Collate(make_views.names, modalities, columns)
    return Loader(ViewDataset(reader, make_views), sampler, collate, workers, torch.device(device))


def _groups(reader: Reader, column: str) -> np.ndarray:
    """A number for each sample's group, -1 where it has none."""
    known = list(getattr(reader, "meta", ()) or reader[0].meta)
    if column not in known:
        raise ConfigError(f"no column {column!r} under meta:{did_you_mean(column, known)}", ("train", "together"))
    rows = range(len(reader))
    values = np.asarray(reader.column(column) if hasattr(reader, "column") else [reader[i].meta[column] for i in rows])
    _, codes = np.unique(values, return_inverse=True)
    return np.where((values == -1) | (values != values), -1, codes)  # what readers write for an empty cell
