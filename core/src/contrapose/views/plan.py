"""Which views a run makes, under which names."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from contrapose.errors import CheckpointError, ConfigError, did_you_mean
from contrapose.types import Sample, View, ViewGenerator
from contrapose.views.compose import Compose, made_modality
from contrapose.views.identity import Identity
from contrapose.views.random import rng_for

Build = Callable[..., Any]
"""``config.build(kind, node, path, **context)``."""


@dataclass(frozen=True)
class PlannedView:
    """One call of a generator. ``names`` are the full names (``modality/slot``) of the views that it may make."""

    name: str
    names: tuple[str, ...]
    modality: str
    generator: ViewGenerator

    def make(self, sample: Sample, rng: np.random.Generator) -> list[View]:
        """The generator's views under their full names; none where the sample lacks what it reads."""
        if self.generator.modality not in sample.data:
            return []
        made = self.generator(sample, rng)
        declared: tuple[str, ...] = tuple(getattr(self.generator, "view_names", ()))
        if declared:
            full = dict(zip(declared, self.names, strict=True))
            unknown = next((v.name for v in made if v.name not in full), None)
            if unknown is not None:
                raise ConfigError(f"{self.generator!r} made a view {unknown!r} that its view_names lack")
            return [View(full[v.name], self.modality, v.data, v.meta) for v in made]
        if len(made) > 1:
            raise ConfigError(f"{self.generator!r} made {len(made)} views; declare their names (view_names)")
        return [View(self.name, self.modality, v.data, v.meta) for v in made]


class ViewPlan:
    """The generators of a run by config key (``M``, ``M.slot``), and the views that they make by full name."""

    def __init__(self, generators: Mapping[str, ViewGenerator], planned: Sequence[PlannedView]) -> None:
        self.generators = dict(generators)
        self.planned = list(planned)
        self.names: dict[str, str] = {name: p.modality for p in planned for name in p.names}
        """Modality of each view, by its full name, in the plan's order."""

    @classmethod
    def from_config(
        cls,
        views: Mapping[str, Any],
        slots: Sequence[str] | Mapping[str, int] | None,
        build: Build,
        modalities: Collection[str],
    ) -> ViewPlan:
        """Read the ``views`` of a config.

        ``views`` maps ``M`` or ``M.slot`` to a node (a name, ``{use: name, ...}``, a generator) or a list of nodes,
        which composes. ``slots`` are those that the method declares: ``["query", "key"]``, ``{"global": 2}``
        (``global_0``, ``global_1``), or None. ``modalities`` are those that the data have; one without views gives
        itself unchanged as ``M/0`` if the method declares no slots. Raises `ConfigError` with the path of the key.
        """
        declared = _expand(slots)
        generators: dict[str, ViewGenerator] = {}
        planned: list[PlannedView] = []
        for key, node in views.items():
            modality, _, slot = key.partition(".")
            node, count = _split_count(node, ("views", key))
            generator = _build(node, modality, build, ("views", key))
            _check(generator, modality, modalities, ("views", key))
            generators[key] = generator
            if slot:
                if declared and slot not in declared:
                    raise ConfigError(f"the method has no slot {slot!r}{did_you_mean(slot, declared)}", ("views", key))
                if count is not None:
                    raise ConfigError(f"'count' belongs to views.{modality}, not to one slot", ("views", key, "count"))
                planned.append(_plan(f"{modality}/{slot}", modality, generator))
                continue
            several: tuple[str, ...] = tuple(getattr(generator, "view_names", ()))
            if count is None and several and (not declared or set(several) <= set(declared)):
                # Views made together (two crops that overlap, a whole multi-crop) fill the slots of their own names.
                names = tuple(f"{modality}/{name}" for name in several)
                planned.append(PlannedView(f"{modality}/0", names, modality, generator))
                continue
            named = {k.partition(".")[2] for k in views if k.startswith(f"{modality}.")}
            free = [s for s in declared if s not in named] if declared and not count else range(count or 1)
            if not free:
                raise ConfigError(f"never used: every slot of {modality} has a generator of its own", ("views", key))
            planned += [_plan(f"{modality}/{s}", modality, generator) for s in free]
        for modality in modalities:
            if any(key.partition(".")[0] == modality for key in views):
                continue
            if declared:
                raise ConfigError(f"modality {modality!r} has no views; name a view generator for it", ("views",))
            generators[modality] = Identity(modality)
            planned.append(_plan(f"{modality}/0", modality, generators[modality]))
        full = [name for p in planned for name in p.names]
        if twice := next((name for name in full if full.count(name) > 1), None):
            raise ConfigError(f"the view {twice} would be made twice", ("views",))
        return cls(generators, planned)

    def make(self, sample: Sample, seed: int, epoch: int) -> list[View]:
        """Every view of a sample; the generators' errors pass through."""
        return [v for p in self.planned for v in p.make(sample, rng_for(seed, epoch, sample.id, p.name))]

    def maker(self, seed: int) -> ViewMaker:
        """What the loader calls: picklable, and it outlives a sample that a generator can't handle."""
        return ViewMaker(self, seed)

    def fit(self, samples: Iterable[Sample]) -> None:
        """Fit what needs fitting on the training split; ``samples`` is iterated once for each such generator."""
        for generator in self.generators.values():
            if hasattr(generator, "fit"):
                generator.fit(_Having(samples, generator.modality))

    def state_dict(self) -> dict[str, dict[str, Any]]:
        """Fitted state by config key: a dict of tensors, arrays and JSON values for each generator that has one."""
        states = {key: g.state_dict() for key, g in self.generators.items() if hasattr(g, "state_dict")}
        return {key: state for key, state in states.items() if state}

    def load_state_dict(self, state: Mapping[str, Mapping[str, Any]]) -> None:
        """Take back what `state_dict` gave, before a loader's workers start. Raises `CheckpointError`."""
        for key, part in state.items():
            generator = self.generators.get(key)
            if generator is None or not hasattr(generator, "load_state_dict"):
                raise CheckpointError(f"saved view state {key!r} fits no generator{did_you_mean(key, self.generators)}")
            generator.load_state_dict(part)


@dataclass(frozen=True)
class ViewMaker:
    """A plan with its seed."""

    plan: ViewPlan
    seed: int

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
                views += p.make(sample, rng_for(self.seed, epoch, sample.id, p.name))
            except Exception as error:
                failed.append((p.name, p.modality, error))
        broken = {modality for _, modality, _ in failed}
        return [v for v in views if v.modality not in broken] if broken else views, failed


@dataclass(frozen=True)
class _Having:
    """Those samples that have a modality, as often as one iterates."""

    samples: Iterable[Sample]
    modality: str

    def __iter__(self) -> Iterator[Sample]:
        return (s for s in self.samples if self.modality in s.data)


def _expand(slots: Sequence[str] | Mapping[str, int] | None) -> list[str]:
    if isinstance(slots, Mapping):
        return [f"{name}_{i}" for name, count in slots.items() for i in range(count)]
    return list(slots or ())


def _split_count(node: Any, path: tuple[str | int, ...]) -> tuple[Any, int | None]:
    if not isinstance(node, Mapping) or "count" not in node:
        return node, None
    count = node["count"]
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise ConfigError(f"'count' is the number of views, a whole number from 1, not {count!r}", (*path, "count"))
    return {k: v for k, v in node.items() if k != "count"}, count


def _build(node: Any, modality: str, build: Build, path: tuple[str | int, ...]) -> ViewGenerator:
    if isinstance(node, Mapping) and isinstance(node.get("use"), (list, tuple)):
        node = node["use"]
    if not isinstance(node, (list, tuple)):
        return build("view", node, path, modality=modality)
    try:
        return Compose([build("view", n, (*path, i), modality=modality) for i, n in enumerate(node)])
    except ConfigError as error:
        error.path = error.path or path
        raise


def _check(generator: ViewGenerator, modality: str, modalities: Collection[str], path: tuple[str | int, ...]) -> None:
    made, read = made_modality(generator), generator.modality
    if made != modality:
        hint = did_you_mean(modality, modalities) if modality not in modalities else ""
        raise ConfigError(f"{generator!r} makes views of {made}, not of {modality}{hint}", path)
    if read not in modalities:
        raise ConfigError(f"{generator!r} reads {read}, which the data lack{did_you_mean(read, modalities)}", path)


def _plan(name: str, modality: str, generator: ViewGenerator) -> PlannedView:
    several = tuple(getattr(generator, "view_names", ()))
    return PlannedView(name, tuple(f"{name}_{n}" for n in several) or (name,), modality, generator)
