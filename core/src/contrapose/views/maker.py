"""A plan of views with its seed, as a loader calls it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from contrapose.types import Batch, Sample, View, ViewBatch
from contrapose.views.compose import columns_of, run_batched
from contrapose.views.random import rng_for

if TYPE_CHECKING:
    from contrapose.views.mix import MixedView
    from contrapose.views.plan import ViewPlan


@dataclass(frozen=True)
class ViewMaker:
    """A plan with its seed. ``sheet``: also make each batched view by its generator's per-sample form, to be looked at."""

    plan: ViewPlan
    seed: int
    sheet: bool = False

    @property
    def names(self) -> dict[str, str]:
        """Modality of each view that may come, by its full name."""
        return self.plan.names

    def __call__(self, sample: Sample, epoch: int) -> tuple[list[View], list[tuple[str, str, Exception]]]:
        """Views, and (view, modality, error) of each that failed. A modality with a failed view gives none at all."""
        views: list[View] = []
        failed: list[tuple[str, str, Exception]] = []
        for p in self.plan.planned:
            try:
                make = p.begin if p.batched and not self.sheet else p.make
                views += make(sample, rng_for(self.seed, epoch, sample.id, p.name))
            except Exception as error:
                failed.append((p.name, p.modality, error))
        broken = {modality for _, modality, _ in failed}
        return [v for v in views if v.modality not in broken] if broken else views, failed

    def finish(self, batch: Batch, epoch: int, number: int, rank: int = 0) -> Batch:
        """The batch with its batched and mixed views made, on its device; draws keyed by (seed, epoch, number, rank, view)."""
        made, key = dict(batch.views), (epoch, number, rank, batch.sample.device)
        for p in self.plan.planned:
            if p.batched and len(made[p.name]):
                view, last = made[p.name], p.parts[1]
                known = {c: batch.meta[c][view.index] for c in columns_of(last) if c in batch.meta}
                made[p.name] = replace(view, data=run_batched(last, view.data, self._draws(p.name, *key), known))
        for m in self.plan.mixed:
            if len(made[m.of]):
                made[m.name] = self.mix(m, made[m.of], batch.sample, epoch, number, rank)
        return replace(batch, views=made)

    def mix(
        self, mixed: MixedView, views: ViewBatch, sample: Tensor, epoch: int, number: int = 0, rank: int = 0
    ) -> ViewBatch:
        """A mixed view of those that it mixes, which aren't empty; ``sample`` are the batch's ids."""
        return mixed.mixer.mix(views, sample, self._draws(mixed.name, epoch, number, rank, sample.device))

    def _draws(self, name: str, epoch: int, number: int, rank: int, device: torch.device) -> torch.Generator:
        key = int(rng_for(self.seed, epoch, number, f"{name} of rank {rank}").integers(2**63))
        return torch.Generator(device).manual_seed(key)
