"""Which views a run makes, under which names."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Any

import numpy as np

from contrapose.errors import CheckpointError, ConfigError, did_you_mean
from contrapose.types import Sample, View, ViewGenerator
from contrapose.views.compose import Compose, made_modality, parted
from contrapose.views.identity import Identity
from contrapose.views.maker import ViewMaker
from contrapose.views.mix import BatchMixer, MixedView
from contrapose.views.random import rng_for

Build = Callable[..., Any]
"""``config.build(kind, node, path, **context)``."""


@dataclass(frozen=True)
class PlannedView:
    """One call of a generator. ``names`` are the full names (``modality/slot``) of the views that it may make.

    Where ``batched``, the generator's batched form makes the view on the training device; of a list the workers do what has none.
    """

    name: str
    names: tuple[str, ...]
    modality: str
    generator: ViewGenerator
    batched: bool = False

    def make(self, sample: Sample, rng: np.random.Generator) -> list[View]:
        """The generator's views under their full names; none where the sample lacks what it reads."""
        return self._made(self.generator, sample, rng)

    def begin(self, sample: Sample, rng: np.random.Generator) -> list[View]:
        """What workers make of a batched view: the data as they are, or after those parts of a list that have no batched form."""
        return self._made(self.parts[0] or Identity(self.modality), sample, rng)

    @cached_property
    def parts(self) -> tuple[ViewGenerator | None, Any]:
        """Of a batched view what the workers do, and what the training device does."""
        return parted(self.generator)

    def _made(self, generator: ViewGenerator, sample: Sample, rng: np.random.Generator) -> list[View]:
        if generator.modality not in sample.data:
            return []
        made = generator(sample, rng)
        declared: tuple[str, ...] = tuple(getattr(generator, "view_names", ()))
        if declared:
            full = dict(zip(declared, self.names, strict=True))
            unknown = next((v.name for v in made if v.name not in full), None)
            if unknown is not None:
                raise ConfigError(f"{generator!r} made a view {unknown!r} that its view_names lack")
            return [View(full[v.name], self.modality, v.data, v.meta) for v in made]
        if len(made) > 1:
            raise ConfigError(f"{generator!r} made {len(made)} views; declare their names (view_names)")
        return [View(self.name, self.modality, v.data, v.meta) for v in made]


class ViewPlan:
    """The generators of a run by config key (``M``, ``M.slot``), and the views that they make by full name."""

    def __init__(
        self,
        generators: Mapping[str, ViewGenerator],
        planned: Sequence[PlannedView],
        mixed: Sequence[MixedView] = (),
    ) -> None:
        self.generators = dict(generators)
        self.planned = list(planned)
        self.mixed = list(mixed)
        self.names: dict[str, str] = {name: p.modality for p in planned for name in p.names}
        """Modality of each view, by its full name, in the plan's order."""
        self.names |= {m.name: m.mixer.modality for m in mixed}

    @classmethod
    def from_config(
        cls,
        views: Mapping[str, Any],
        slots: Sequence[str] | Mapping[str, int] | None,
        build: Build,
        modalities: Collection[str],
        own: Mapping[str, Any] | None = None,
    ) -> ViewPlan:
        """Read the ``views`` of a config.

        ``views`` maps ``M``, ``M.slot`` or ``M.slot_*`` (each slot that is like it) to a node (a name, ``{use: name, ...}``, a
        generator) or a list of nodes, which composes. ``slots`` are those that the method declares: ``["query", "key"]``,
        ``{"global": 2}`` (``global_0``, ``global_1``), or None. ``modalities`` are those that the data have; one without views
        gives itself unchanged as ``M/0`` if the method declares no slots, and one whose node is ``none`` gives
        nothing. ``own`` are nodes by slot that the method brings itself, for each modality of ``views``, where that
        names no other for the slot. Raises `ConfigError` with the path of the key.
        """
        own = own or {}
        declared = _expand(slots)
        declared += [slot for slot in own if declared and slot not in declared]
        groups = dict.fromkeys(key.partition(".")[0] for key in views)
        views = _spelt_out({**{f"{m}.{slot}": node for m in groups for slot, node in own.items()}, **views}, declared)
        generators: dict[str, ViewGenerator] = {}
        planned: list[PlannedView] = []
        mixed: list[MixedView] = []
        for key, node in views.items():
            if node == "none":
                continue
            modality, _, slot = key.partition(".")
            node, count, batched = _split_options(node, ("views", key))
            generator = _build(node, modality, build, ("views", key))
            _check(generator, modality, modalities, ("views", key))
            if batched and (isinstance(generator, BatchMixer) or parted(generator)[1] is None):
                raise ConfigError(f"{generator!r} has no batched form", ("views", key, "batched"))
            if slot and declared and slot not in declared:
                raise ConfigError(f"the method has no slot {slot!r}{did_you_mean(slot, declared)}", ("views", key))
            if slot and count is not None:
                raise ConfigError(f"'count' belongs to views.{modality}, not to one slot", ("views", key, "count"))
            if isinstance(generator, BatchMixer):
                if not slot:
                    raise ConfigError(f"{generator!r} fills one slot: name it, {modality}.mixed", ("views", key))
                mixed.append(MixedView(f"{modality}/{slot}", f"{modality}/{generator.of}", generator))
                continue
            generators[key] = generator
            if slot:
                planned.append(_plan(f"{modality}/{slot}", modality, generator, batched))
                continue
            named = {k.partition(".")[2] for k in views if k.startswith(f"{modality}.")}
            planned += _fill(modality, generator, [s for s in declared if s not in named], declared, count, batched)
        for modality in modalities:
            if any(key.partition(".")[0] == modality for key in views):
                continue
            if declared:
                raise ConfigError(f"modality {modality!r} has no views; name a view generator for it", ("views",))
            generators[modality] = Identity(modality)
            planned.append(_plan(f"{modality}/0", modality, generators[modality]))
        full = [name for p in planned for name in p.names]
        _check_mixed(mixed, full)
        full += [m.name for m in mixed]
        if twice := next((name for name in full if full.count(name) > 1), None):
            raise ConfigError(f"the view {twice} would be made twice", ("views",))
        return cls(generators, planned, mixed)

    def make(self, sample: Sample, seed: int, epoch: int) -> list[View]:
        """Every view of a sample by the per-sample forms; the generators' errors pass through."""
        return [v for p in self.planned for v in p.make(sample, rng_for(seed, epoch, sample.id, p.name))]

    def maker(self, seed: int, sheet: bool = False) -> ViewMaker:
        """What the loader calls: picklable, and it outlives a sample that a generator can't handle."""
        return ViewMaker(self, seed, sheet)

    def fit(self, samples: Callable[[str], Iterable[Sample]], but: Collection[str] = ()) -> None:
        """Fit what needs fitting, ``but`` for those keys; ``samples(modality)`` are those of the training split that have it.

        Raises ``ConfigError`` with the path of the key.
        """
        for key, generator in self.generators.items():
            if hasattr(generator, "fit") and key not in but:
                try:
                    generator.fit(samples(generator.modality))
                except ConfigError as error:
                    error.path = (key, *error.path)
                    raise

    @property
    def learning(self) -> dict[str, Any]:
        """The generators that learn from the run (``refresh``), by config key and place in a list."""
        parts = {key: g.generators if isinstance(g, Compose) else [g] for key, g in self.generators.items()}
        return {f"{key}/{i}": g for key, of in parts.items() for i, g in enumerate(of) if hasattr(g, "refresh")}

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


def _expand(slots: Sequence[str] | Mapping[str, int] | None) -> list[str]:
    if isinstance(slots, Mapping):
        return [f"{name}_{i}" for name, count in slots.items() for i in range(count)]
    return list(slots or ())


def _spelt_out(views: Mapping[str, Any], declared: Sequence[str]) -> dict[str, Any]:
    """The views with every ``M.glob`` replaced by the declared slots that are like it and that no key names itself."""
    found: dict[str, Any] = {}
    for key, node in views.items():
        modality, _, slot = key.partition(".")
        if not set(slot) & set("*?["):
            found[key] = node
            continue
        like = [s for s in declared if fnmatchcase(s, slot)]
        if not like:
            there = f"there is {', '.join(declared)}" if declared else "it declares none"
            raise ConfigError(f"the method has no slot like {slot!r}; {there}", ("views", key))
        found |= {f"{modality}.{s}": node for s in like if f"{modality}.{s}" not in views}
    return found


def _split_options(node: Any, path: tuple[str | int, ...]) -> tuple[Any, int | None, bool]:
    """A node without what the plan itself reads of it: ``count`` and ``batched``."""
    if not isinstance(node, Mapping):
        return node, None, False
    count, batched = node.get("count"), node.get("batched", False)
    if count is not None and (isinstance(count, bool) or not isinstance(count, int) or count < 1):
        raise ConfigError(f"'count' is the number of views, a whole number from 1, not {count!r}", (*path, "count"))
    if not isinstance(batched, bool):
        raise ConfigError(f"'batched' is true or false, not {batched!r}", (*path, "batched"))
    return {k: v for k, v in node.items() if k not in ("count", "batched")}, count, batched


def _build(node: Any, modality: str, build: Build, path: tuple[str | int, ...]) -> ViewGenerator:
    if isinstance(node, Mapping) and isinstance(node.get("use"), (list, tuple)):
        node = node["use"]
    if not isinstance(node, (list, tuple)):
        return build("view", node, path, modality=modality)
    try:
        parts = [build("view", n, (*path, i), modality=modality) for i, n in enumerate(node)]
        if mixer := next((g for g in parts if isinstance(g, BatchMixer)), None):
            raise ConfigError(f"{mixer!r} takes a whole batch, so it can't be composed")
        return Compose(parts)
    except ConfigError as error:
        error.path = error.path or path
        raise


def _check(generator: ViewGenerator, modality: str, modalities: Collection[str], path: tuple[str | int, ...]) -> None:
    if not hasattr(generator, "modality"):
        name = getattr(generator, "__name__", repr(generator))
        raise ConfigError(f"{name} is no view generator; write @contrapose.view({modality!r}) above its def", path)
    made, read = made_modality(generator), generator.modality
    if made != modality:
        hint = did_you_mean(modality, modalities) if modality not in modalities else ""
        raise ConfigError(f"{generator!r} makes views of {made}, not of {modality}{hint}", path)
    if read not in modalities:
        raise ConfigError(f"{generator!r} reads {read}, which the data lack{did_you_mean(read, modalities)}", path)


def _fill(
    modality: str,
    generator: ViewGenerator,
    free: Sequence[str],
    declared: Sequence[str],
    count: int | None,
    batched: bool,
) -> list[PlannedView]:
    """What ``views.M`` makes: views of the slots that its generator names, else one for each slot that is free, else ``count``."""
    several: tuple[str, ...] = tuple(getattr(generator, "view_names", ()))
    if count is None and several and (not declared or set(several) <= set(declared)):
        # Views made together (two crops that overlap, a whole multi-crop) fill the slots of their own names.
        names = tuple(f"{modality}/{name}" for name in several)
        return [PlannedView(f"{modality}/0", names, modality, generator)]
    slots = free if declared and not count else range(count or 1)
    if not slots:
        raise ConfigError(f"never used: every slot of {modality} has a generator of its own", ("views", modality))
    return [_plan(f"{modality}/{s}", modality, generator, batched) for s in slots]


def _check_mixed(mixed: Sequence[MixedView], names: Collection[str]) -> None:
    """Whether the views that are to be mixed are there."""
    for m in mixed:
        modality, _, slot = m.name.partition("/")
        there = [name.partition("/")[2] for name in names if name.startswith(f"{modality}/")]
        if m.mixer.of not in there:
            raise ConfigError(
                f"{modality} has no view {m.mixer.of!r} to mix{did_you_mean(m.mixer.of, there)}",
                ("views", f"{modality}.{slot}", "of"),
            )


def _plan(name: str, modality: str, generator: ViewGenerator, batched: bool = False) -> PlannedView:
    several = tuple(getattr(generator, "view_names", ()))
    return PlannedView(name, tuple(f"{name}_{n}" for n in several) or (name,), modality, generator, batched)
