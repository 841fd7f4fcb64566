"""A method: branches, sources and terms, and the modules that they share, each once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import Parameter

from contrapose.branches.branch import Branch
from contrapose.branches.heads import run
from contrapose.branches.twin import Twin
from contrapose.clock import Clock
from contrapose.config import build
from contrapose.errors import ConfigError, did_you_mean
from contrapose.relations.predicate import matches
from contrapose.sources.base import Source
from contrapose.types import Batch, Rows
from contrapose.methods.encode import Taps, forward_views, presence, table
from contrapose.methods.gather import share
from contrapose.methods.outputs import Outputs
from contrapose.methods.score import LossOut, score_term
from contrapose.methods.temperature import Temperature
from contrapose.methods.term import BoundTerm, Path, build_args, from_node

SECTIONS = ("slots", "branches", "sources", "temperatures", "terms")


class Method(nn.Module):
    """Owns encoders, heads, twins, sources, relations, temperatures and the clock, each once.

    ``loss(batch)`` may be used in any training loop::

        out = method(batch)                # LossOut
        out.loss.backward()
        for p in method.frozen():
            p.grad = None
        optimizer.step()
        method.advance()

    Args:
        branches: by name, ``Branch`` or its mapping.
        terms: by name, ``Term`` or its mapping.
        encoders: by modality, or by the name that a branch's ``encoder:`` gives.
        sources: by name, nodes or built sources.
        temperatures: by name, learnt temperatures that several terms share.
        slots: the view slots that the method asks for, with how many views each.
        seed: of the sources' random draws.
    """

    def __init__(
        self,
        branches: Mapping[str, Any],
        terms: Mapping[str, Any],
        encoders: Mapping[str, nn.Module],
        sources: Mapping[str, Any] | None = None,
        temperatures: Mapping[str, Any] | None = None,
        slots: Any = (),
        seed: int = 0,
        path: Path = ("method",),
    ) -> None:
        super().__init__()
        self.seed, self.tile = seed, cast("int | None", None)
        self.slots: dict[str, int] = dict(slots) if isinstance(slots, Mapping) else dict.fromkeys(slots, 1)
        self.branches: dict[str, Branch] = {
            n: b if isinstance(b, Branch) else build_args(Branch, b, (*path, "branches", n))
            for n, b in branches.items()
        }
        self.clock = Clock()
        self.encoders = nn.ModuleDict(dict(encoders))
        self.projectors, self.predictors = nn.ModuleDict(), nn.ModuleDict()
        self.twins = nn.ModuleDict()
        for name in self.branches:
            self._build_heads(name, (*path, "branches", name))
        self.sources = nn.ModuleDict(
            {n: self._source(n, node, (*path, "sources", n)) for n, node in (sources or {}).items()}
        )
        for source in self._sources.values():
            source.setup(self.width, self._sources)
        self.temperatures = nn.ModuleDict(
            {n: build_args(Temperature, t, (*path, "temperatures", n)) for n, t in (temperatures or {}).items()}
        )
        shared = cast("dict[str, Temperature]", dict(self.temperatures.items()))
        self.terms = nn.ModuleDict()
        for name, node in terms.items():
            where = (*path, "terms", name)
            term = BoundTerm(name, from_node(node, where), shared, where)
            self._check(term, where)
            self.terms[name] = term
        self._out: Outputs | None = None

    @classmethod
    def from_data(
        cls, data: Mapping[str, Any], encoders: Mapping[str, nn.Module], seed: int = 0, path: Path = ("method",)
    ) -> Method:
        """A method from a preset's mapping. Raises ``ConfigError`` with the path to what is wrong."""
        for key in data:
            if key not in SECTIONS:
                raise ConfigError(f"unknown key {key!r} in a method{did_you_mean(str(key), SECTIONS)}", (*path, key))
        for key in ("branches", "terms"):
            if not data.get(key):
                raise ConfigError(f"a method needs {key}:", path)
        return cls(**data, encoders=encoders, seed=seed, path=path)

    # -- construction ------------------------------------------------------------------------------------------------

    def _root(self, name: str) -> str:
        of = self.branches[name].of
        if of is not None and of not in self.branches:
            raise ConfigError(f"of: there is no branch {of!r}{did_you_mean(of, self.branches)}")
        return name if of is None else self._root(of)

    def _owner(self, name: str) -> str:
        """The branch whose projector this one uses."""
        branch = self.branches[name]
        return name if branch.of is None or branch.projector is not None else self._owner(branch.of)

    def _twin(self, name: str) -> Twin | None:
        branch = self.branches[name]
        if branch.weights == "online" or branch.of is None:
            return None
        key = f"{branch.weights} {branch.momentum if branch.weights == 'ema' else ''}".strip().replace(".", "_")
        if key not in self.twins:
            self.twins[key] = Twin(branch.momentum if branch.weights == "ema" else None)
        return cast(Twin, self.twins[key])

    def _encoder_names(self, name: str) -> list[str]:
        """The encoders that this branch's views may need."""
        branch = self.branches[self._root(name)]
        if branch.encoder is not None:
            if branch.encoder not in self.encoders:
                raise ConfigError(
                    f"there is no encoder {branch.encoder!r}{did_you_mean(branch.encoder, self.encoders)}"
                )
            return [branch.encoder]
        globs = self.branches[name].views
        return [
            e
            for e in self.encoders
            if any("/" not in g or matches(f"{e}/", [g.partition("/")[0] + "/"]) for g in globs)
        ]

    def _build_heads(self, name: str, path: Path) -> None:
        branch, encoders = self.branches[name], self._encoder_names(name)
        if not encoders:
            raise ConfigError(
                f"no encoder's modality has views like {', '.join(branch.views)}; add it under encoders:", path
            )
        widths = {e: self._dims(e).get(branch.tap) for e in encoders}
        for e, width in widths.items():
            if width is None:
                raise ConfigError(
                    f"encoder {e!r} has no tap {branch.tap!r}{did_you_mean(branch.tap, self._dims(e))}", path
                )
        if len(set(widths.values())) > 1:
            raise ConfigError(
                f"one branch can't join encoders of different widths {widths}; give each its branch", path
            )
        dim = next(iter(widths.values()))
        if branch.projector is not None:
            self.projectors[name] = build("head", branch.projector, (*path, "projector"), dim=dim)
        owner = self._owner(name)
        if branch.predictor is not None:
            width = _width(self.projectors[owner], cast(int, dim)) if owner in self.projectors else dim
            self.predictors[name] = build("head", branch.predictor, (*path, "predictor"), dim=width, out=width)
        if (twin := self._twin(name)) is not None:
            for e in encoders:
                twin.add("encoder", e, self.encoders[e])
            if owner in self.projectors:
                twin.add("projector", owner, self.projectors[owner])
        elif branch.weights == "frozen":
            for e in encoders:
                self.encoders[e].requires_grad_(False)

    def _source(self, name: str, node: Any, path: Path) -> Source:
        made = build("source", node, path, name=name)
        if not isinstance(made, Source):
            raise ConfigError(f"{node!r} is no source", path)
        return made

    def _check(self, term: BoundTerm, path: Path) -> None:
        """That every table that a term names is there, and ready what the loss needs of it."""
        for ref in term.refs:
            try:
                self.width(ref)
            except ConfigError as e:
                raise ConfigError(e.message, path) from None
        if hasattr(term.loss, "setup"):
            term.loss.setup(term.query[0], self.width(term.query[0]))

    def _dims(self, encoder: str) -> Mapping[str, int]:
        return cast("Mapping[str, int]", self.encoders[encoder].dims)

    def width(self, ref: str) -> int:
        """The width of a table's vectors."""
        whole = ref.partition("/")[0]
        name, _, part = whole.partition(".")
        if name in self.sources:
            return self._sources[name].width(self.width)
        if name not in self.branches:
            raise ConfigError(
                f"there is no branch or source {name!r}{did_you_mean(name, [*self.branches, *self.sources])}"
            )
        dims = self._dims(self._encoder_names(name)[0])
        if part not in ("", "projected", *dims):
            raise ConfigError(f"branch {name!r} has no part {part!r}{did_you_mean(part, ['projected', *dims])}")
        if part and part != "projected":
            return dims[part]
        owner = self._owner(name)
        width = dims[self.branches[name].tap]
        width = _width(self.projectors[owner], width) if owner in self.projectors else width
        return _width(self.predictors[name], width) if name in self.predictors and not part else width

    @property
    def _sources(self) -> dict[str, Source]:
        return cast("dict[str, Source]", dict(self.sources.items()))

    @property
    def _terms(self) -> dict[str, BoundTerm]:
        return cast("dict[str, BoundTerm]", dict(self.terms.items()))

    # -- the step ----------------------------------------------------------------------------------------------------

    def encode(self, batch: Batch) -> dict[str, Rows]:
        """All tables of the branches, by ``branch``, ``branch.projected`` and ``branch.<tap>``."""
        views = {n: [v for v in batch.views if self._takes(n, v, batch)] for n in self.branches}
        present = {n: presence(batch, v) for n, v in views.items()}
        seen = self._forward(batch, views)
        tables: dict[str, Rows] = {}
        for name, branch in self.branches.items():
            names, twin = views[name], self._twin(name)
            if not names:
                raise ConfigError(
                    f"no view of the batch is like {', '.join(branch.views)}, which branch {name!r} takes; "
                    f"there is {', '.join(batch.views)}"
                )
            taps = [seen[id(twin), self._encoder_of(name, v, batch), v] for v in names]
            owner = self._owner(name)
            heads = twin.projectors if twin is not None else self.projectors
            projector = heads[owner] if owner in heads else None
            for part, z in self._parts(name, branch, projector, taps).items():
                tables[part] = table(name, branch, batch, names, z, present)
        return tables

    def _parts(
        self, name: str, branch: Branch, projector: nn.Module | None, taps: list[Taps]
    ) -> dict[str, list[Tensor]]:
        """The tensors of a branch's tables, a tensor a view."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and branch.weights == "online"):
            projected = heads_on(
                [t[branch.tap] for t in taps], projector, self.width(f"{name}.projected"), branch.together
            )
            predictor = self.predictors[name] if name in self.predictors else None
            final = heads_on(projected, predictor, self.width(name), branch.together)
        parts = {name: final, f"{name}.projected": projected}
        return parts | {f"{name}.{tap}": [t[tap] for t in taps] for tap in taps[0]}

    def _forward(self, batch: Batch, views: Mapping[str, list[str]]) -> dict[tuple[int, str, str], Taps]:
        """Taps by (twin, encoder, view)."""
        wanted: dict[tuple[int, str], dict[str, None]] = {}
        modules: dict[tuple[int, str], tuple[nn.Module, bool]] = {}
        together: dict[tuple[int, str], bool] = {}
        for name, names in views.items():
            twin = self._twin(name)
            for v in names:
                e = self._encoder_of(name, v, batch)
                key = (id(twin), e)
                wanted.setdefault(key, {})[v] = None
                modules[key] = (self.encoders[e], True) if twin is None else (twin.encoders[e], False)
                together[key] = together.get(key, True) and self.branches[name].together
        taps = {}
        for key, names_ in wanted.items():
            module, grad = modules[key]
            made = forward_views(
                module, [batch.views[v] for v in names_], together[key], grad and torch.is_grad_enabled()
            )
            taps.update({(*key, v): t for v, t in zip(names_, made, strict=True)})
        return taps

    def _takes(self, name: str, view: str, batch: Batch) -> bool:
        return matches(view, self.branches[name].views) and self._encoder_of(name, view, batch) in self.encoders

    def _encoder_of(self, name: str, view: str, batch: Batch) -> str:
        return self.branches[self._root(name)].encoder or batch.views[view].modality

    def outputs(self, tables: Mapping[str, Rows], batch: Batch) -> Outputs:
        """The step's tables by reference."""
        return Outputs(tables, self._sources, batch, self.clock, self.seed)

    def score(self, tables: Mapping[str, Rows], batch: Batch) -> LossOut:
        """The loss, in at least fp32; without side effects but that ``advance`` will commit these tables."""
        out = self.outputs(tables, batch)
        result = LossOut(torch.zeros(()))
        weighted = []
        with torch.autocast(batch.sample.device.type, enabled=False):
            for name, term in self._terms.items():
                value, result.counts[name] = score_term(term, out, batch, self.tile)
                result.terms[name] = value.detach()
                weighted.append(self.clock.at(term.weight) * value)
        result.loss = torch.stack(weighted).sum()
        self._out = out.detached()
        return result

    def loss(self, batch: Batch) -> LossOut:
        """``score(encode(batch))``."""
        return self.score(self.encode(batch), batch)

    forward = loss

    def frozen(self) -> list[Parameter]:
        """Parameters that don't move in this step: set their ``grad`` to None before the optimiser's."""
        return [p for s in self._sources.values() for p in s.frozen(self.clock)]

    @torch.no_grad()
    def advance(self) -> None:
        """What follows the optimiser's step: relations, sources, twins, temperatures, then the clock."""
        if self._out is None:
            raise RuntimeError("advance() follows loss(): there is no step to commit")
        for term in self._terms.values():
            term.relation.commit(self._out)
        for source in self._sources.values():
            source.commit(self._out)
        for twin in self.twins.values():
            cast(Twin, twin).follow(self.encoders, self.projectors, self.clock)
        for module in self.modules():
            if isinstance(module, Temperature):
                module.clamp()
        self._out = None
        self.clock.tick()

    # -- epochs, optimisers, embeddings ------------------------------------------------------------------------------

    @property
    def needs_epoch(self) -> bool:
        """Whether a source wants the training set embedded at the start of each epoch."""
        return any(type(s).epoch is not Source.epoch for s in self._sources.values())

    def epoch(self, embed: Callable[[str], Rows]) -> None:
        """Start an epoch: ``embed(ref)`` gives that table over the whole training set, equal on all ranks."""
        for source in self._sources.values():
            if type(source).epoch is not Source.epoch:
                source.epoch(embed)
                share([*source.buffers()])

    def param_groups(self, weight_decay: float) -> list[dict[str, Any]]:
        """Trained parameters in two groups: biases, norms and temperatures go without weight decay."""
        params = [p for p in self.parameters() if p.requires_grad]
        return [
            {"params": [p for p in params if p.ndim > 1], "weight_decay": weight_decay},
            {"params": [p for p in params if p.ndim <= 1], "weight_decay": 0.0},
        ]

    @torch.no_grad()
    def table(self, batch: Batch, ref: str) -> Rows:
        """One branch's table for whatever views of its modalities the batch has, whatever their slots; in eval mode."""
        name, _, part = ref.partition("/")[0].partition(".")
        branch, twin, training = self.branches[name], self._twin(name), self.training
        encoders = self._encoder_names(name)
        views = [v for v in batch.views if self._encoder_of(name, v, batch) in encoders]
        self.eval()
        try:
            seen = self._forward(batch, {name: views})
            taps = [seen[id(twin), self._encoder_of(name, v, batch), v] for v in views]
            heads, owner = (twin or self).projectors, self._owner(name)
            made = self._parts(name, branch, heads[owner] if owner in heads else None, taps)
        finally:
            self.train(training)
        return table(name, branch, batch, views, made[f"{name}.{part}" if part else name], {})

    def embed(self, batch: Batch, head: str = "projected") -> dict[str, Rows]:
        """By modality, one row a sample: the mean over its views of the trained branch's projection, or of a tap (``pooled``)."""
        made = {}
        for modality in dict.fromkeys(v.modality for v in batch.views.values()):
            name = self._trained(modality)
            if name is None:
                continue
            own = Batch(batch.sample, {n: v for n, v in batch.views.items() if v.modality == modality}, batch.meta)
            rows = self.table(own, f"{name}.{head}")
            samples, first, where = _first(rows.meta["sample"])
            z = torch.zeros(len(samples), rows.z.shape[1], dtype=rows.z.dtype, device=rows.z.device)
            count = torch.bincount(where, minlength=len(samples))[:, None]
            made[modality] = Rows(z.index_add(0, where, rows.z) / count, {k: c[first] for k, c in rows.meta.items()})
        return made

    def _trained(self, modality: str) -> str | None:
        """The first trained branch that this modality's views take."""
        for name, branch in self.branches.items():
            if branch.weights == "online" and branch.of is None and branch.grad:
                encoder = branch.encoder
                names = self._encoder_names(name) if encoder is None else [self._modality(encoder)]
                if modality in names:
                    return name
        return None

    def _modality(self, encoder: str) -> str:
        return str(getattr(self.encoders[encoder], "modality", encoder))


def heads_on(parts: list[Tensor], head: nn.Module | None, width: int, together: bool) -> list[Tensor]:
    """A head on each view's rows: on all of them in one batch, or one after the other."""
    if head is None or not together or len({p.shape[1:] for p in parts}) > 1:
        return [run(head, p, width) for p in parts]
    return list(run(head, torch.cat(parts), width).split([len(p) for p in parts]))


def _width(head: nn.Module, dim: int) -> int:
    """A head's width: what it says, or what comes out."""
    if isinstance(getattr(head, "out", None), int):
        return cast(int, head.out)
    training = head.training
    with torch.no_grad():
        made = head.eval()(torch.zeros(2, dim))
    head.train(training)
    return int(made.shape[-1])


def _first(samples: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Distinct samples in ascending order, the row at which each first comes, and each row's place among them."""
    unique, where = torch.unique(samples, return_inverse=True)
    rows = torch.arange(len(samples), device=samples.device)
    first = torch.full_like(unique, len(samples)).scatter_reduce(0, where, rows, "amin")
    return unique, first, where
