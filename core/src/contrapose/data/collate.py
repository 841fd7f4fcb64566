"""Samples with their views, and batches of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from contrapose.data.failure import no_memory_to_load, one_line, out_of_memory, raise_if_fatal
from contrapose.data.samples import read_sample
from contrapose.errors import ConfigError, ContraposeError, DataError
from contrapose.types import Batch, Modality, Reader, Sample, View, ViewBatch, tree_map

SUSPICIOUS = 4
"""So many samples that fail alike in a view, and none that passes, tell of a wrong generator, not of bad data."""


class MakeViews(Protocol):
    """Makes the views of a sample; ``views.ViewPlan.maker(seed)`` gives one.

    Optional: ``finish(batch, epoch, number, rank)``, which makes what is made of a whole batch, on its device.
    """

    @property
    def names(self) -> Mapping[str, str]:
        """Modality of every view that may come, by its full name."""

    def __call__(self, sample: Sample, epoch: int) -> tuple[list[View], list[tuple[str, str, Exception]]]:
        """Views, and (view, modality, error) of those that failed."""


@dataclass(frozen=True, slots=True)
class Item:
    """A sample on its way to a batch, without its data: its views, and what failed, (view or "", modality, error)."""

    id: int
    meta: Mapping[str, float | int]
    views: list[View]
    failed: list[tuple[str, str, Exception]]


class ViewDataset(Dataset[Item]):
    """The views of the sample at (epoch, position). What can't be read is missing, and noted in ``Item.failed``."""

    def __init__(self, reader: Reader, make_views: MakeViews) -> None:
        self.reader = reader
        self.make_views = make_views

    def __len__(self) -> int:
        return len(self.reader)

    def __getitem__(self, index: tuple[int, int]) -> Item:
        """Read the sample and make its views."""
        epoch, position = index
        sample, unread = read_sample(self.reader, position)
        views, failed = self.make_views(sample, epoch)
        return Item(sample.id, sample.meta, views, [("", modality, error) for modality, error in unread] + failed)


class Collate:
    """Items to a `Batch`: one collation per view, cast to the modality's dtype.

    Every name of ``names`` is among the batch's views, without rows where no sample has it. A sample without any view
    is dropped. ``columns`` are the columns of ``Sample.meta`` with their dtypes.
    """

    def __init__(
        self, names: Mapping[str, str], modalities: Mapping[str, Modality], columns: Mapping[str, np.dtype]
    ) -> None:
        self.names = dict(names)
        if unknown := set(names.values()) - set(modalities):
            raise ConfigError(f"views of {unknown.pop()!r} need that modality to collate them", ("views",))
        self.modalities = dict(modalities)
        self.columns = {name: torch.float64 if dtype.kind == "f" else torch.int64 for name, dtype in columns.items()}

    def __call__(self, items: Sequence[Item]) -> Batch | ContraposeError:
        """The batch, or the error that must stop the run: returned, as a worker would wrap it in a traceback."""
        try:
            _check(items)
            kept = [item for item in items if item.views]
            rows: dict[str, list[tuple[int, View]]] = {name: [] for name in self.names}
            for i, item in enumerate(kept):
                for view in item.views:
                    rows[view.name].append((i, view))
            views = {name: self._view(self.names[name], made) for name, made in rows.items()}
        except ContraposeError as error:
            return error
        except MemoryError:
            return no_memory_to_load()
        meta = {n: torch.tensor([item.meta[n] for item in kept], dtype=dtype) for n, dtype in self.columns.items()}
        skipped = {(item.id, modality): one_line(error) for item in items for _, modality, error in item.failed}
        ids = torch.tensor([item.id for item in kept], dtype=torch.int64)
        return Batch(ids, views, meta, [(i, modality, why) for (i, modality), why in skipped.items()])

    def _view(self, name: str, made: list[tuple[int, View]]) -> ViewBatch:
        index = torch.tensor([i for i, _ in made], dtype=torch.int64)
        if not made:
            return ViewBatch(None, name, index)
        modality = self.modalities[name]
        try:
            data = _cast(modality.collate([view.data for _, view in made]), modality.dtype)
        except (ValueError, TypeError, RuntimeError) as error:
            if out_of_memory(error):
                raise MemoryError(one_line(error)) from error
            raise DataError(f"views {made[0][1].name} don't fit into one batch: {one_line(error)}") from error
        meta = {key: _column([view.meta[key] for _, view in made]) for key in made[0][1].meta}
        return ViewBatch(data, name, index, meta)


def _check(items: Sequence[Item]) -> None:
    """Raise what concerns the whole run: a fatal error, or a view in which every sample fails alike."""
    made = {view.name for item in items for view in item.views}
    alike: Counter[tuple[str, type]] = Counter()
    first: dict[tuple[str, type], Exception] = {}
    for item in items:
        for name, modality, error in item.failed:
            raise_if_fatal(error, f"view {name!r}" if name else f"modality {modality!r}")
            if name:
                alike[name, type(error)] += 1
                first.setdefault((name, type(error)), error)
    enough = min(SUSPICIOUS, max(2, len(items)))
    for (name, kind), count in alike.items():
        others = any(n == name and k is not kind for n, k in alike)
        if name not in made and not others and count >= enough:
            raise DataError(f"view generator of {name!r} failed on all {count} samples: {one_line(first[name, kind])}")


def _cast(data: Any, dtype: torch.dtype) -> Any:
    """A tensor to ``dtype``; in a dict of tensors the floating ones alone, so that masks and indices stay."""
    if isinstance(data, Tensor):
        return data.to(dtype)
    return tree_map(lambda t: t.to(dtype) if t.is_floating_point() and dtype.is_floating_point else t, data)


def _column(values: list[Any]) -> Tensor:
    column = torch.tensor(values)
    return column.double() if column.is_floating_point() else column.long()
