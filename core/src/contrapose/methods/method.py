"""A method: branches, sources and terms, and the modules that they share, each once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import Parameter

from contrapose.branches.branch import Branch
from contrapose.branches.named import Named
from contrapose.branches.twin import Twin
from contrapose.clock import Clock
from contrapose.config import build
from contrapose.errors import ConfigError, did_you_mean, warn
from contrapose.losses.engine import Engine
from contrapose.losses.head import HeadLoss
from contrapose.methods.advice import advice, behind
from contrapose.methods.gather import share
from contrapose.methods.health import spread
from contrapose.methods.outputs import Outputs
from contrapose.methods.score import LossOut, score_term
from contrapose.methods.tables import set_up, table_width
from contrapose.methods.temperature import Temperature, learnt_shares
from contrapose.methods.term import BoundTerm, Path, Term, build_args, from_node
from contrapose.methods.towers import Towers
from contrapose.sources.base import Source
from contrapose.sources.derived import Mean
from contrapose.types import Batch, Rows

SECTIONS = ("slots", "views", "branches", "sources", "temperatures", "terms")


class Method(nn.Module):
    """Owns encoders, heads, twins, sources, relations, temperatures and the clock.

    It may be used in any training loop::

        method.clock.start(steps_per_epoch, epochs)    # by which schedules are stretched
        out = method(batch)                # LossOut
        out.loss.backward()
        for p in method.frozen():
            p.grad = None
        optimizer.step()
        method.advance()

    Args:
        branches: by name, ``Branch`` or its mapping.
        terms: by name, ``Term`` or its mapping.
        encoders: by modality, or by the name that a branch's ``encoder`` gives.
        sources: by name, nodes or built sources.
        temperatures: by name, learnt temperatures that several terms share.
        slots: the view slots that the method asks for, with how many views each.
        views: view nodes of slots that the method fills itself (``{mixed: {use: mix, of: query}}``), in each modality. Whoever
            feeds the method makes them, as the views of its slots.
        seed: of the sources' random draws.
        frozen: encoders by name that stay as they are: ``encoder`` alone, or ``tower``, its projector too.
        path: where in a config all this stands, for messages.
        facts: by modality, what losses are told where they take it, as views and encoders are (a schema).

    ``engine``, an attribute, says how pairs are visited.
    """

    engine: Engine = Engine()

    def __init__(
        self,
        branches: Mapping[str, Any],
        terms: Mapping[str, Any],
        encoders: Mapping[str, nn.Module],
        sources: Mapping[str, Any] | None = None,
        temperatures: Mapping[str, Any] | None = None,
        slots: Any = (),
        views: Mapping[str, Any] | None = None,
        seed: int = 0,
        path: Path = ("method",),
        frozen: Mapping[str, str] | None = None,
        facts: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        super().__init__()
        self.seed = seed
        self._facts = {modality: dict(told) for modality, told in (facts or {}).items()}
        self.slots: dict[str, int] = dict(slots) if isinstance(slots, Mapping) else dict.fromkeys(slots, 1)
        self.views = dict(views or {})
        self.clock = Clock()
        made = {
            n: b if isinstance(b, Branch) else build_args(Branch, b, (*path, "branches", n))
            for n, b in branches.items()
        }
        self.towers = Towers(made, encoders, (*path, "branches"), frozen)
        self.sources = Named()
        for name, node in (sources or {}).items():
            source = build("source", node, (*path, "sources", name), name=name)
            if name in self.towers.branches or not isinstance(source, Source):
                raise ConfigError(f"{name!r} is a branch already, or {node!r} is no source", (*path, "sources", name))
            self.sources[name] = source
        set_up(self._sources, self.width, (*path, "sources"))
        self.temperatures = Named()
        for name, node in (temperatures or {}).items():
            self.temperatures[name] = build_args(Temperature, node, (*path, "temperatures", name))
        self.terms = Named()
        for name, node in terms.items():
            self.terms[name] = self._term(name, node, (*path, "terms", name))
        self._tell_modalities()
        self.shares = learnt_shares({n: t.weight for n, t in self._terms.items()})
        self.needed = {r.partition("/")[0] for r in self._read()} & {*self.towers.widths}
        self._out: Outputs | None = None
        for line in advice(self):
            warn(line)

    @classmethod
    def from_data(
        cls,
        data: Mapping[str, Any],
        encoders: Mapping[str, nn.Module],
        seed: int = 0,
        path: Path = ("method",),
        frozen: Mapping[str, str] | None = None,
        facts: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> Method:
        """A method from a preset's mapping. Raises ``ConfigError`` with the path to what is wrong."""
        for key in data:
            if key not in SECTIONS:
                raise ConfigError(f"unknown key {key!r} in a method{did_you_mean(str(key), SECTIONS)}", (*path, key))
        for key in ("branches", "terms"):
            if not data.get(key):
                raise ConfigError(f"a method needs {key}:", path)
        return cls(**data, encoders=encoders, seed=seed, path=path, frozen=frozen, facts=facts)

    def _term(self, name: str, node: Any, path: Path) -> BoundTerm:
        said = from_node(node, path)
        term = BoundTerm(name, said, self._shared, self._told(said), path)
        for ref in term.refs:
            try:
                self.width(ref)
            except ConfigError as e:
                raise ConfigError(e.message, path) from None
        for kind, named in term.relation.named:
            known = [*self.towers.branches, *(self.sources if kind == "origin" else ())]
            if named not in known:
                raise ConfigError(f"{kind}({named}): there is no such branch{did_you_mean(named, known)}", path)
        if isinstance(term.loss, HeadLoss):
            term.loss.setup(term.query[0], self.width(term.query[0]))
        return term

    def _tell_modalities(self) -> None:
        """Tell each term which branches of different encoders it joins."""
        encoders = {name: route.encoders for name, route in self.towers.routes.items()}
        for term in self._terms.values():
            term.several = len({*encoders.values()}) > 1
            found = behind(self, (*term.query, *(k.rows for k in term.keys)))
            term.joins = tuple(found) if len({encoders[b] for b in found}) > 1 else ()

    def _told(self, term: Term) -> dict[str, Any]:
        """The facts of all modalities in one, where they clash those of the term's query."""
        query = term.query if isinstance(term.query, str) else term.query[0]
        route = self.towers.routes.get(query.partition("/")[0].partition(".")[0])
        own = {getattr(self.encoders[e], "modality", e) for e in route.encoders} if route else set()
        in_order = sorted(self._facts, key=lambda modality: modality in own)
        return {name: fact for modality in in_order for name, fact in self._facts[modality].items()}

    def _read(self) -> Iterator[str]:
        """Every table that a term or a source reads."""
        for term in self._terms.values():
            yield from term.refs
        for source in self._sources.values():
            yield from source.refs

    def width(self, ref: str) -> int:
        """The width of a table's vectors. Raises ``ConfigError`` where there is no such table."""
        return table_width(ref, self.towers, self._sources)

    @property
    def encoders(self) -> Named:
        """The trained encoders, by modality or name."""
        return self.towers.encoders

    @property
    def _sources(self) -> dict[str, Source]:
        return cast("dict[str, Source]", dict(self.sources.items()))

    @property
    def _shared(self) -> dict[str, Temperature]:
        return cast("dict[str, Temperature]", dict(self.temperatures.items()))

    @property
    def _terms(self) -> dict[str, BoundTerm]:
        return cast("dict[str, BoundTerm]", dict(self.terms.items()))

    # -- the step ----------------------------------------------------------------------------------------------------

    def encode(self, batch: Batch) -> dict[str, Rows]:
        """The tables of the branches on this rank, as far as a term or a source reads them."""
        return cast("dict[str, Rows]", self.towers(batch, self.needed))

    def score(self, tables: Mapping[str, Rows], batch: Batch) -> LossOut:
        """The loss, in at least fp32. No side effect but that ``advance`` will commit these tables, those of the last call."""
        out = Outputs(tables, self._sources, batch, self.clock, self.seed)
        terms, counts, weighted = {}, {}, []
        metrics: dict[str, Tensor] = {}
        with torch.autocast(batch.sample.device.type, enabled=False):
            for name, term in self._terms.items():
                value, counts[name], found = score_term(term, out, batch, self._shared, self.engine)
                terms[name] = value.detach()
                weight = term.weigh(self.clock, self.shares)
                if isinstance(term.weight, Mapping):
                    found[f"weight/{name}"] = torch.as_tensor(weight).detach()
                metrics |= found
                weighted.append(weight * value)
        metrics |= {f"spread/{name}": spread(rows.z) for name, rows in tables.items() if "." not in name}
        self._out = out.detached()
        return LossOut(torch.stack(weighted).sum(), terms, counts, metrics)

    def loss(self, batch: Batch) -> LossOut:
        """``score(encode(batch), batch)``."""
        return self.score(self.encode(batch), batch)

    forward = loss

    def frozen(self) -> list[Parameter]:
        """Parameters that don't move in this step: set their ``grad`` to None before the optimiser's step."""
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
        for twin in self.towers.twins.values():
            cast(Twin, twin).follow(self.towers.encoders, self.towers.projectors, self.clock)
        for module in self.modules():
            if isinstance(module, Temperature):
                module.clamp()
        self._out = None
        self.clock.tick()

    def forget(self) -> None:
        """Drop the tables of the last ``loss``, which was only asked for its value: ``advance`` won't commit them."""
        self._out = None

    # -- epochs, optimisers, embeddings ------------------------------------------------------------------------------

    @property
    def needs_epoch(self) -> bool:
        """Whether a source wants the training set embedded at the start of each epoch."""
        return any(type(s).epoch is not Source.epoch for s in self._sources.values())

    @property
    def needs_positions(self) -> list[str]:
        """The sources that a stream can't serve: those that embed the training set, or keep an entry for each of its samples."""
        return [n for n, s in self._sources.items() if s.counted or type(s).epoch is not Source.epoch]

    def epoch(self, embed: Callable[[str], Rows]) -> None:
        """Start an epoch: ``embed(ref)`` gives that table over the whole training set, equal on all ranks."""
        for source in self._sources.values():
            if type(source).epoch is not Source.epoch:
                source.epoch(embed, self.clock)
                share([*source.buffers()])

    def param_groups(self, weight_decay: float) -> list[dict[str, Any]]:
        """Trained parameters in two groups: biases, norms and temperatures go without weight decay."""
        params = [p for p in self.parameters() if p.requires_grad]
        return [
            {"params": [p for p in params if p.ndim > 1], "weight_decay": weight_decay},
            {"params": [p for p in params if p.ndim <= 1], "weight_decay": 0.0},
        ]

    def table(self, batch: Batch, ref: str) -> Rows:
        """One branch's table for whatever views of its modalities the batch has, in eval mode, without gradient."""
        return self.towers.table(batch, ref)

    def embed(self, batch: Batch, head: str = "projected") -> dict[str, Rows]:
        """By modality, a row a sample: the mean over its views of the trained branch's projection, or of a tap (``pooled``)."""
        made = {}
        for modality in dict.fromkeys(v.modality for v in batch.views.values()):
            name = self.towers.trained(modality)
            if name is None:
                continue
            views = {n: v for n, v in batch.views.items() if v.modality == modality}
            own = Batch(batch.sample, views, batch.meta)
            made[modality] = Mean(f"{name}.{head}").reduce(self.table(own, f"{name}.{head}"))
        return made
