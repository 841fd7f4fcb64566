"""Generators one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import torch

from contrapose.errors import ConfigError
from contrapose.types import Sample, View, ViewGenerator


def made_modality(generator: ViewGenerator) -> str:
    """The modality of a generator's views: its ``makes``, or what it reads."""
    return getattr(generator, "makes", None) or generator.modality


def columns_of(generator: ViewGenerator) -> tuple[str, ...]:
    """The columns of ``meta`` that a generator's batched form asks for."""
    return tuple(getattr(generator, "columns", ()))


def run_batched(generator: Any, data: Any, draws: torch.Generator, meta: Mapping[str, torch.Tensor]) -> Any:
    """A generator's batched form on a collated batch; ``meta`` are the columns (n,) that there are of those that it asks for."""
    return generator.batched(data, draws, meta) if columns_of(generator) else generator.batched(data, draws)


def parted(generator: ViewGenerator) -> tuple[ViewGenerator | None, ViewGenerator | None]:
    """What a loader's workers do of a batched view, and what the training device does after them; None where that is nothing.

    Of a list the device does the longest end of which each part has a batched form.
    """
    if not isinstance(generator, Compose):
        return (None, generator) if _has_batched(generator) else (generator, None)
    parts = generator.generators
    first = next((i + 1 for i in reversed(range(len(parts))) if not _has_batched(parts[i])), 0)
    before, after = parts[:first], parts[first:]
    return Compose(before) if before else None, Compose(after) if after else None


def _has_batched(generator: ViewGenerator) -> bool:
    one = made_modality(generator) == generator.modality and not getattr(generator, "view_names", ())
    return one and hasattr(generator, "batched")


class Compose:
    """Each generator reads the single view of the one before; the last may make several. All draw from one rng."""

    def __init__(self, generators: Sequence[ViewGenerator]) -> None:
        if not generators:
            raise ConfigError("an empty list of views composes to nothing; leave it out, or use 'identity'")
        for before, after in pairwise(generators):
            if getattr(before, "view_names", ()):
                raise ConfigError(f"{before!r} makes several views, so it can only stand last")
            if made_modality(before) != after.modality:
                raise ConfigError(f"{after!r} reads {after.modality}, but {before!r} makes {made_modality(before)}")
        self.generators = list(generators)
        self.modality = generators[0].modality
        self.makes = made_modality(generators[-1])
        self.view_names: tuple[str, ...] = tuple(getattr(generators[-1], "view_names", ()))

    def __call__(self, sample: Sample, rng: np.random.Generator) -> list[View]:
        """The last generator's views, with the meta of all."""
        meta: dict[str, float | int] = {}
        for generator in self.generators[:-1]:
            views = generator(sample, rng)
            if len(views) != 1:
                raise ConfigError(f"{generator!r} made {len(views)} views where a composition needs one")
            meta.update(views[0].meta)
            sample = replace(sample, data={**sample.data, views[0].modality: views[0].data})
        return [replace(v, meta={**meta, **v.meta}) if meta else v for v in self.generators[-1](sample, rng)]

    @property
    def columns(self) -> tuple[str, ...]:
        """What the batched forms ask for of ``meta``."""
        return tuple(dict.fromkeys(column for generator in self.generators for column in columns_of(generator)))

    @property
    def batched(self) -> Callable[..., Any]:
        """The batched forms one after the other; no such attribute unless each has one, and makes one view of its modality."""
        for generator in self.generators:
            if not _has_batched(generator):
                raise AttributeError(f"{generator!r} has no batched form")
        return self._batched

    def _batched(self, data: Any, generator: torch.Generator, meta: Mapping[str, torch.Tensor] | None = None) -> Any:
        for part in self.generators:
            known = {c: column for c, column in (meta or {}).items() if c in columns_of(part)}
            data = run_batched(part, data, generator, known)
        return data

    def fit(self, samples: Iterable[Sample]) -> None:
        """Fit each generator that fits, on the samples as they were read. Raises ``ConfigError`` with its place in the list."""
        for place, generator in enumerate(self.generators):
            if hasattr(generator, "fit"):
                try:
                    generator.fit(samples)
                except ConfigError as error:
                    error.path = (place, *error.path)
                    raise

    def state_dict(self) -> dict[str, Any]:
        """The fitted state of each generator that has one, by its position."""
        states = {str(i): g.state_dict() for i, g in enumerate(self.generators) if hasattr(g, "state_dict")}
        return {i: state for i, state in states.items() if state}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        for i, part in state.items():
            self.generators[int(i)].load_state_dict(part)  # type: ignore[attr-defined]

    def __repr__(self) -> str:
        return f"Compose({self.generators!r})"
