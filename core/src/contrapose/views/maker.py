"""A plan of views with its seed, as a loader calls it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

from contrapose.types import Batch, Sample, View
from contrapose.views.compose import columns_of, run_batched
from contrapose.views.random import rng_for

if TYPE_CHECKING:
    from contrapose.views.plan import ViewPlan


@dataclass(frozen=True)
class ViewMaker:
    """A plan with its seed. ``sheet``: also make each batched view by its generator's per-sample form, to be looked at."""

    plan: ViewPlan
    seed: int
    sheet: bool = False

    @property
    def names(self) -> dict[str, str]:
        """Modality of each view that may come, by its full name; on a sheet none that it takes a batch to make."""
        mixed = {m.name for m in self.plan.mixed} if self.sheet else set()
        return {name: modality for name, modality in self.plan.names.items() if name not in mixed}

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

        def draws(name: str) -> torch.Generator:
            key = int(rng_for(self.seed, epoch, number, f"{name} of rank {rank}").integers(2**63))
            return torch.Generator(batch.sample.device).manual_seed(key)

        made = dict(batch.views)
        for p in self.plan.planned:
            if p.batched and len(made[p.name]):
                view, last = made[p.name], p.parts[1]
                known = {c: batch.meta[c][view.index] for c in columns_of(last) if c in batch.meta}
                made[p.name] = replace(view, data=run_batched(last, view.data, draws(p.name), known))
        for m in self.plan.mixed:
            if len(made[m.of]):
                made[m.name] = m.mixer.mix(made[m.of], batch.sample, draws(m.name))
        return replace(batch, views=made)
