"""From a config to what a run is made of."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import torch
from torch import nn

from contrapose.config import Config, build
from contrapose.config.schema import ModalityConfig, TrainConfig
from contrapose.data import Loader, check_cells, make_loader, open_reader, split
from contrapose.data.failure import one_line
from contrapose.data.table import TableReader
from contrapose.errors import CheckpointError, ConfigError, ContraposeError, DataError, warn
from contrapose.losses.engine import Engine
from contrapose.methods.method import SECTIONS, Method
from contrapose.plugins import registry
from contrapose.types import Modality, Reader, StreamReader, ViewGenerator
from contrapose.views import ViewPlan
from contrapose.views.compose import made_modality

from .components import Samples, eval_view, fit_modality, in_words, make_modality, modality_of, no_encoder, unreached
from .kept import Kept, KeptViews, TapsOf, without
from .randomness import reseed
from .recipe import lay_over
from .tower import put_towers


class Parts:
    """A run's modalities, data, view plans and method, each made when it is first asked for.

    ``fitted`` is the state that an earlier ``fit`` left; without it, views are fitted on the training split alone, but for those
    whose state is ``inherited`` from a run that this one extends, with the weights of its towers.
    """

    def __init__(
        self, config: Config, fitted: dict[str, Any] | None = None, inherited: dict[str, Any] | None = None
    ) -> None:
        self.config = config
        self.run = config.run
        self._fitted = fitted
        self._known = fitted or inherited or {}

    @cached_property
    def modalities(self) -> dict[str, Modality]:
        """Every modality that is read or viewed, by name. Raises ``ConfigError`` saying what to install."""
        paths = {m: ("modalities" if self.run.modalities else "encoders", m) for m in self.columns}
        for key in self.run.views:
            paths.setdefault(key.partition(".")[0], ("views", key))
        made = {name: make_modality(name, self.run.modalities.get(name), path) for name, path in paths.items()}
        for name, state in self._known.get("modalities", {}).items():
            with _state_of(f"the modality {name!r}"):
                made[name].load_state_dict(state)  # type: ignore[attr-defined]
        return made

    @cached_property
    def columns(self) -> dict[str, Any]:
        """The column or columns of each modality that the data have; those with an encoder where ``modalities`` is left out."""
        said = self.run.modalities
        columns = {m: c.columns if isinstance(c, ModalityConfig) else c for m, c in said.items()}
        columns = columns or dict.fromkeys(self.run.encoders)
        if not columns:
            raise ConfigError("is missing: name the data's modalities, each with its column", path=("modalities",))
        return columns

    @cached_property
    def splits(self) -> dict[str, Reader]:
        """The data by split; ``train`` is always there. Raises ``DataError`` or ``ConfigError``."""
        spec = self.run.split
        try:
            parts = split(self.open(self.run.data), spec.plain() if spec else None)
        except ConfigError as error:
            if error.path[:1] == ("modalities",) and error.path[-1] in self._known.get("towers", {}):
                error = type(error)(f"{error.message}; null leaves the old tower out", error.path)
            raise error from None
        if self._fitted is None:
            for name in self.columns:
                if name not in self._known.get("modalities", {}):
                    fit_modality(self.modalities[name], parts["train"])
        return parts

    def facts(self, modality: str) -> dict[str, Any]:
        """What a modality's views and encoders are told of it, once it is fitted."""
        found = self.modalities.get(modality)
        if found is None or not hasattr(found, "facts"):
            return {}
        if self._fitted is None and hasattr(found, "fit"):
            _ = self.splits
        facts: dict[str, Any] = found.facts()
        return facts

    def open(self, data: Any) -> Reader:
        """A reader of other data with this run's modalities, meta columns and label codes."""
        source = self.config.source
        base = source.parent if source else None
        vocabularies = (self._fitted or {}).get("vocabularies")
        reader = open_reader(data, self.modalities, self.columns, self.run.meta, vocabularies, base, build)
        check_cells(reader, self.modalities)
        return reader

    @cached_property
    def recipe(self) -> dict[str, Any]:
        """The method as plain data, its preset resolved and changed as the config says; what it says is null is left out."""
        node = self.run.method
        if isinstance(node, str):
            node = {"use": node}
        if not isinstance(node, Mapping):
            raise ConfigError("expected a method's name, or its branches and terms", path=("method",))
        if "use" not in node:
            return dict(node)
        # A preset is a mapping, or a function that makes one of its arguments; sections of a method are laid over either.
        sections = {k: v for k, v in node.items() if k in SECTIONS}
        arguments = {k: v for k, v in node.items() if k not in SECTIONS}
        # Views may be of modalities that the data haven't: pictures that are made of clouds.
        there = [*dict.fromkeys([*self.columns, *(key.partition(".")[0] for key in self.run.views)])]
        whole = lay_over(build("method", arguments, ("method",), modalities=there), sections)
        return {
            key: {name: part for name, part in of.items() if part is not None} if isinstance(of, Mapping) else of
            for key, of in whole.items()
        }

    @cached_property
    def plan(self) -> ViewPlan:
        """The views that training makes."""
        slots, own = self.recipe.get("slots"), self.recipe.get("views")
        plan = ViewPlan.from_config(self.run.views, slots, self._view, list(self.columns), own)
        self._fit(plan, "views")
        return plan

    @cached_property
    def eval_plan(self) -> ViewPlan:
        """One view of each modality, made without chance: the config's, else the plugin's ``<modality>/eval``, else the data.

        A modality that the data lack is evaluated where the config names a view that makes it of another (a rendering).
        """
        said = self.run.evaluate.views
        views = {m: said.get(m) or eval_view(m, self.run.views) for m in dict.fromkeys([*self.columns, *said])}
        plan = ViewPlan.from_config({m: v for m, v in views.items() if v}, None, self._view, list(self.columns))
        self._fit(plan, "eval")
        return plan

    @property
    def fitted_state(self) -> dict[str, Any]:
        """What an earlier ``fit`` left, as it was given."""
        return self._fitted or {}

    def fitted(self) -> dict[str, Any]:
        """All that was fitted, for a run folder."""
        vocabularies = getattr(next(iter(self.splits.values())), "vocabularies", {})
        return {
            "modalities": {m: made.state_dict() for m, made in self.modalities.items() if hasattr(made, "state_dict")},
            "views": self.plan.state_dict(),
            "eval": self.eval_plan.state_dict(),
            "vocabularies": vocabularies,
            "towers": self._known.get("towers", {}),
        }

    def make_method(self) -> Method:
        """The method on the CPU, with weights that are a function of ``train.seed``. Raises ``ConfigError``."""
        seed, _ = self.run.train.seed, self.modalities  # what isn't installed is said first
        with torch.random.fork_rng():
            reseed(seed, "weights")
            encoders = {name: self._encoder(node, ("encoders", name)) for name, node in self.run.encoders.items()}
            for modality in self.plan.names.values():
                if modality not in {e.modality for e in encoders.values()}:
                    raise no_encoder(modality)
            facts = {m: self.facts(m) for m in self.columns}
            method = Method.from_data(self.recipe, encoders, seed=seed, frozen=self.run.train.frozen, facts=facts)
            for modality in unreached(self.plan.names, method.towers.branches):
                warn(f"no branch takes the views of {modality}: nothing learns from it; add a pair, or leave it out")
        put_towers(method, self._known.get("towers", {}))
        method.engine = Engine(self.run.loss.engine, self.run.loss.tile)
        return method

    def train_loader(
        self,
        rank: int = 0,
        world: int = 1,
        device: torch.device | str = "cpu",
        kept: Sequence[Kept] = (),
        part: str = "train",
    ) -> Loader:
        """Batches of the training views, on ``device``; what is ``kept`` of frozen encoders takes the place of their views.

        Of another part than ``train`` its last batch comes too, whole or not. Raises ``DataError`` for a ``train`` of fewer than
        two samples, and ``ConfigError`` as `make_loader` does.
        """
        t = self.run.train
        reader, plan = self.splits[part], without(self.plan, kept)
        if part == "train" and not isinstance(reader, StreamReader) and len(reader) < 2:
            count = "a single sample" if len(reader) else "no sample"
            raise DataError(f"the train split has {count}, and contrast needs at least two: add data, or change split")
        reads = {g.modality for g in plan.generators.values()}
        if isinstance(reader, TableReader) and reads < {*reader.columns}:
            reader = reader.only(*reads)
        maker = plan.maker(t.seed)
        return make_loader(
            reader,
            KeptViews(maker, kept, self.plan.names) if kept else maker,
            {**self.modalities, **{k.modality: TapsOf(k.modality) for k in kept}},
            t.batch_size,
            seed=t.seed,
            rank=rank,
            world=world,
            workers=t.workers,
            drop_last=t.drop_last and part == "train",
            balance=t.balance if part == "train" else None,
            together=t.together,
            distinct=t.distinct,
            buckets=t.buckets if part == "train" else None,
            window=t.window,
            steps=stream_epoch(reader, t) if isinstance(reader, StreamReader) else None,
            device=device,
        )

    def eval_loader(
        self, reader: Reader, batch_size: int, device: torch.device | str = "cpu", view: ViewGenerator | None = None
    ) -> Loader:
        """Batches of a reader's samples in their order, un-augmented or as ``view`` alone shows them, on ``device``."""
        t, plan = self.run.train, self.eval_plan
        if view is not None:
            made = made_modality(view)
            plan = ViewPlan.from_config({made: view}, None, self._view, [made, view.modality])
        return make_loader(
            reader,
            plan.maker(t.seed),
            self.modalities,
            batch_size,
            workers=t.workers,
            shuffle=False,
            drop_last=False,
            device=device,
        )

    def _view(self, kind: str, node: Any, path: tuple[str | int, ...], modality: str) -> Any:
        reads = modality_of(node, kind) or modality  # a rendering reads another modality than it is a view of
        return build(kind, node, path, modality=modality, **self.facts(reads))

    def _encoder(self, node: Any, path: tuple[str, ...]) -> nn.Module:
        modality = path[-1] if path[-1] in self.modalities else modality_of(node)
        encoder = build("encoder", node, path, **self.facts(modality or ""))
        if not (isinstance(encoder, nn.Module) and hasattr(encoder, "dims") and hasattr(encoder, "modality")):
            raise ConfigError(f"{type(encoder).__name__} is no encoder: an nn.Module with 'modality' and 'dims'", path)
        if path[-1] in {o.spec.name for o in registry().offers("modality")} - {encoder.modality}:
            raise ConfigError(f"this encoder reads {encoder.modality}, not {path[-1]}", path)
        return encoder

    def _fit(self, plan: ViewPlan, key: str) -> None:
        if self._fitted is None:
            train, made = self.splits["train"], self.modalities
            try:
                plan.fit(lambda modality: Samples(train, modality, made.get(modality)), but=self._known.get(key, {}))
            except ConfigError as error:
                error.path = ("views", *error.path) if key == "views" else ("evaluate", "views", *error.path)
                raise
        with _state_of(key):
            plan.load_state_dict(self._known.get(key, {}))


@contextmanager
def _state_of(what: str) -> Iterator[None]:
    """Say in one line that a run's fitted state isn't what its own component left, whatever that then stumbles over."""
    try:
        yield
    except ContraposeError:
        raise
    except Exception as error:
        raise CheckpointError(f"what the run kept of {what} (fitted.json) doesn't fit it: {one_line(error)}") from error


def stream_epoch(reader: StreamReader, train: TrainConfig) -> int:
    """How many steps an epoch of a stream has. Raises ``ConfigError`` where nothing says how long to train."""
    if reader.samples is None and train.steps is None:
        raise ConfigError(
            "nobody knows how long an epoch of a stream is: set train.steps, or samples: N under data",
            ("train", "epochs"),
        )
    if reader.samples is None:
        if train.checkpoint_every is None:
            warn(
                "train.steps are one epoch of a stream, so its first checkpoint comes last: set train.checkpoint_every"
            )
        return int(train.steps or 0)
    if reader.samples < train.batch_size:
        raise ConfigError(
            f"an epoch of {reader.samples} samples has no batch of {train.batch_size}", ("data", "samples")
        )
    return reader.samples // train.batch_size


def fingerprint(recipe: Mapping[str, Any], method: nn.Module) -> str:
    """A digest of what a method is: its data, and the names and shapes of its parameters."""
    shapes = {name: list(p.shape) for name, p in method.named_parameters()}
    said = json.dumps([recipe, shapes], sort_keys=True, default=in_words)
    return hashlib.blake2b(said.encode(), digest_size=16).hexdigest()
