"""What frozen encoders gave of samples, on disk, and how it takes the place of their views in a batch."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from contrapose.types import Batch, Sample, View
from contrapose.views import ViewPlan

if TYPE_CHECKING:
    from contrapose.views.maker import ViewMaker

IDS, HAS, TAP, META = "ids", "has", "tap.", "meta."
"""Names of arrays: the samples' ids, sorted; which of them have the view; the encoder's taps; the view's columns."""


@dataclass
class Kept:
    """A view of samples as its encoder gives it: a folder of memory-mapped arrays whose first dimension is the sample."""

    view: str
    modality: str
    folder: Path
    _arrays: dict[str, np.ndarray] = field(default_factory=dict, repr=False)

    def make(self, sample: int) -> list[View]:
        """The view of a sample; none where it has none."""
        row = int(np.searchsorted(self.arrays[IDS], sample))
        if not self.arrays[HAS][row]:
            return []
        taps = {n.removeprefix(TAP): a[row] for n, a in self.arrays.items() if n.startswith(TAP)}
        meta = {n.removeprefix(META): a[row].tolist() for n, a in self.arrays.items() if n.startswith(META)}
        return [View(self.view, self.modality, taps, meta)]

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """By name, opened in the process that asks."""
        if not self._arrays:
            self._arrays = {f.stem: np.load(f, mmap_mode="r") for f in sorted(self.folder.glob("*.npy"))}
        return self._arrays

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_arrays": {}}


@dataclass
class TapsOf:
    """The modality whose items are an encoder's taps of one sample, ``{"pooled": (D,), ...}``."""

    name: str
    dtype: torch.dtype = torch.float32

    def load(self, cells: Mapping[str, Any], root: Path) -> Any:
        """Never called: they come from a cache."""
        raise NotImplementedError

    def collate(self, items: Sequence[Mapping[str, np.ndarray]]) -> dict[str, torch.Tensor]:
        """Items side by side."""
        return {tap: torch.from_numpy(np.stack([item[tap] for item in items])) for tap in items[0]}

    def preview(self, data: Any) -> Mapping[str, bytes | str]:
        """Nothing that a person would see."""
        return {}


@dataclass(frozen=True)
class KeptViews:
    """Makes views as ``maker`` does, and puts what is kept beside them; ``names`` are those of both, in the plan's order."""

    maker: ViewMaker
    kept: Sequence[Kept]
    names: Mapping[str, str]

    def __call__(self, sample: Sample, epoch: int) -> tuple[list[View], list[tuple[str, str, Exception]]]:
        """See `ViewMaker`."""
        views, failed = self.maker(sample, epoch)
        return views + [view for kept in self.kept for view in kept.make(sample.id)], failed

    def finish(self, batch: Batch, epoch: int, number: int, rank: int = 0) -> Batch:
        """See `ViewMaker`; kept views are marked as encoded."""
        batch = self.maker.finish(batch, epoch, number, rank)
        marked = {k.view: replace(batch.views[k.view], encoded=True) for k in self.kept}
        return replace(batch, views={**batch.views, **marked})


def without(plan: ViewPlan, kept: Collection[Kept]) -> ViewPlan:
    """The plan without the views that are kept."""
    views = {k.view for k in kept}
    return part(plan, [name for name in plan.names if name not in views]) if kept else plan


def part(plan: ViewPlan, views: Collection[str]) -> ViewPlan:
    """The plan of some views alone, with the generators that make them."""
    planned = [p for p in plan.planned if set(p.names) & set(views)]
    makers = [p.generator for p in planned]
    generators = {key: g for key, g in plan.generators.items() if any(g is m for m in makers)}
    return ViewPlan(generators, planned, [m for m in plan.mixed if m.name in views])
