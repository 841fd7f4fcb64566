"""What a frozen encoder gives of each training sample, computed once: where nothing moves, nothing needs computing again."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from rich.console import Console
from torch import Tensor, nn

from contrapose.data import make_loader
from contrapose.data.cache import cache_folder
from contrapose.data.failure import raise_if_fatal
from contrapose.data.samples import read_sample, sample_ids
from contrapose.data.table import TableReader
from contrapose.errors import CheckpointError, ConfigError, warn
from contrapose.methods.encode import forward_views
from contrapose.methods.method import Method
from contrapose.types import Batch, Reader, Sample, StreamReader, View, matches
from contrapose.views import ViewPlan

from .build import Parts
from .kept import IDS, Kept, part
from .taps_file import Table, alone, place, read_state, write_state
from .taps_key import key

PATH = ("train", "cache")
PROBE = 4
"""So many samples tell whether a view draws, before anything is written; all others tell when they are kept."""
EVERY = 10.0
"""Seconds between two notes of how far it is: on the screen, and on disk to go on from."""


@dataclass(frozen=True)
class Job:
    """A modality whose views a frozen encoder alone reads: its views, its encoder's name, and which taps are asked of it."""

    modality: str
    views: tuple[str, ...]
    encoder: str
    taps: tuple[str, ...]


def jobs(parts: Parts, method: Method) -> list[Job]:
    """What ``train.cache`` keeps. Raises ``ConfigError`` where that is nothing, or can't be kept."""
    towers, plan, found = method.towers, parts.plan, []
    train = parts.splits["train"]
    if isinstance(train, StreamReader) or not hasattr(train, "fingerprint"):
        raise ConfigError("needs samples by position, and a digest that tells when they change; pack the data", PATH)
    for modality in dict.fromkeys(plan.names.values()):
        views = tuple(name for name, of in plan.names.items() if of == modality)
        readers = {
            name: towers.routes[name].only or modality
            for name, branch in towers.branches.items()
            if any(matches(view, branch.views) for view in views)
        }
        encoders = {*readers.values()} & {*towers.encoders}
        if not encoders & towers.frozen:
            continue
        if len(encoders) > 1:
            raise ConfigError(f"{modality} is read by several encoders, {', '.join(sorted(encoders))}", PATH)
        if whole := next((v for v in views if _of_batches(plan, v)), None):
            raise ConfigError(f"the view {whole} is made of whole batches, which draw anew each time", PATH)
        encoder = encoders.pop()
        asked = [ref.partition(".") for ref in method.needed]
        taps = {towers.branches[n].tap if p in ("", "projected") else p for n, _, p in asked if n in readers}
        if taps:
            found.append(Job(modality, views, encoder, tuple(sorted(taps))))
    if not found:
        raise ConfigError("keeps what frozen encoders give, and none is: name one under train.frozen", PATH)
    return found


def require_keepable(parts: Parts, method: Method) -> None:
    """Raise ``ConfigError`` for what can't be kept, a view that draws at random too, as far as the first samples tell."""
    for job in jobs(parts, method):
        plan = part(parts.plan, job.views)
        reader = _of(plan, parts.splits["train"])
        for i in range(min(PROBE, len(reader))):
            for _, _, error in _Drawless(plan)(read_sample(reader, i)[0], 0)[1]:
                raise_if_fatal(error, job.modality)


def keep(parts: Parts, method: Method, accelerator: Accelerator, console: Console) -> list[Kept]:
    """The taps of all frozen encoders for all training samples: from the cache, or computed into it by the main process.

    They are kept as float32, as the run's precision gives them, under a key of all that they are a function of.
    """
    kept = []
    for job in jobs(parts, method):
        folder = cache_folder() / "taps" / key(parts, method, job.modality, job.views, job.encoder, job.taps)
        if accelerator.is_main_process:
            _fill(job, folder, parts, method, accelerator, console)
        accelerator.wait_for_everyone()
        made = [Kept(view, job.modality, place(folder, view)) for view in job.views]
        if not all((k.folder / f"{IDS}.npy").is_file() for k in made):
            raise CheckpointError(
                f"{folder} isn't seen by all processes: set CONTRAPOSE_CACHE to a folder that they share"
            )
        kept += made
    return kept


def _fill(job: Job, folder: Path, parts: Parts, method: Method, accelerator: Accelerator, console: Console) -> None:
    train, plan = parts.run.train, part(parts.plan, job.views)
    reader = _of(plan, parts.splits["train"])
    encoder = method.towers.encoders[job.encoder]
    was = next((p.device for p in encoder.parameters()), torch.device("cpu"))

    def say(text: str) -> None:
        console.print(f"{job.modality}: {text}", highlight=False, soft_wrap=True)

    with alone(folder):
        state = read_state(folder)
        if state.get("whole"):
            say(f"what its encoder gives of {len(reader):,} samples comes from {folder}")
            return
        say(f"keeping what its encoder gives of {len(reader):,} samples in {folder}")
        loader = make_loader(
            reader,
            _Drawless(plan),
            parts.modalities,
            train.batch_size,
            workers=train.workers,
            shuffle=False,
            drop_last=False,
            device=accelerator.device,
        )
        start = state["batches"] if state.get("size") == train.batch_size else 0
        table = Table(folder, np.asarray(sample_ids(reader), dtype=np.int64), fresh=not start)
        loader.set_epoch(0, start)
        encoder.to(accelerator.device).eval()
        skipped = list(state.get("skipped", [])) if start else []
        told = time.monotonic()
        for number, batch in enumerate(loader, start + 1):
            with accelerator.autocast():
                table.write(batch, _encode(encoder, batch, job))
            skipped += [list(s) for s in batch.skipped]
            if time.monotonic() - told > EVERY:
                table.flush()
                write_state(folder, {"batches": number, "size": train.batch_size, "skipped": skipped})
                say(f"{min(number * train.batch_size, len(reader)):,} of {len(reader):,}")
                told = time.monotonic()
        encoder.to(was)
        table.flush()
        write_state(folder, {"whole": True, "skipped": skipped})
        if skipped:
            warn(f"{job.modality} of {len(skipped)} samples can't be read, so it is missing there: {skipped[0][2]}")


def _encode(encoder: nn.Module, batch: Batch, job: Job) -> dict[str, dict[str, Tensor]]:
    """By view, the taps that are asked for."""
    views = [batch.views[v] for v in job.views]
    made = forward_views(encoder, views, together=False, grad=False)
    return {v: {t: taps[t].float().cpu() for t in job.taps} for v, taps in zip(job.views, made, strict=True)}


class _Drawless:
    """A plan's views, made without chance: one that draws all the same is an error."""

    def __init__(self, plan: ViewPlan) -> None:
        self.plan = plan
        self.names = plan.names

    def __call__(self, sample: Sample, epoch: int) -> tuple[list[View], list[tuple[str, str, Exception]]]:
        """See `MakeViews`."""
        views: list[View] = []
        failed: list[tuple[str, str, Exception]] = []
        for p in self.plan.planned:
            try:
                views += p.make(sample, _NoChance(p.name, p.modality))  # type: ignore[arg-type]
            except Exception as error:
                failed.append((p.name, p.modality, error))
        return ([] if failed else views), failed


@dataclass(frozen=True)
class _NoChance:
    """Stands where a view's random generator would."""

    view: str
    modality: str

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise ConfigError(
            f"the view {self.view} draws at random, so what a frozen encoder gives of it is new each time: name a view without "
            f"chance under views.{self.modality}, or leave the cache out",
            PATH,
        )


def _of(plan: ViewPlan, reader: Reader) -> Reader:
    """A reader of what the plan's views are made of, and no more where it can tell."""
    return reader.only(*{g.modality for g in plan.generators.values()}) if isinstance(reader, TableReader) else reader


def _of_batches(plan: ViewPlan, view: str) -> bool:
    return any(p.batched for p in plan.planned if view in p.names) or any(m.name == view for m in plan.mixed)
