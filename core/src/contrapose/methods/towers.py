"""The branches of a method, with the encoders, heads and twins that they share, each once."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Self, cast

import torch
from torch import nn

from contrapose.branches.branch import Branch
from contrapose.branches.named import Named
from contrapose.branches.twin import Twin
from contrapose.config import build
from contrapose.errors import ConfigError, did_you_mean
from contrapose.methods.encode import Taps, forward_views, presence, table
from contrapose.methods.project import Part, fold, head_width, of_views, on_views
from contrapose.methods.routes import Path, Route, covered, dims_of, in_order, tap_width
from contrapose.types import Batch, Rows, matches


class Towers(nn.Module):
    """Encodes a batch into the tables of all branches; each encoder sees each view once, however many branches use it."""

    def __init__(
        self,
        branches: Mapping[str, Branch],
        encoders: Mapping[str, nn.Module],
        path: Path,
        frozen: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__()
        self.branches = dict(branches)
        self.encoders, self.projectors, self.predictors = Named(dict(encoders)), Named(), Named()
        self.twins = Named()
        self.routes: dict[str, Route] = {}
        self.widths: dict[str, int] = {}
        self.frozen: set[str] = set()
        self.still: set[str] = set()
        for name in in_order(self.branches, path):
            self._build(name, (*path, name))
        self._freeze(path)
        self._freeze_towers(frozen or {})

    # -- construction ------------------------------------------------------------------------------------------------

    def _build(self, name: str, path: Path) -> None:
        branch = self.branches[name]
        followed = self.routes[branch.of] if branch.of is not None else None
        only = branch.encoder or (followed.only if followed else None)
        encoders = covered(branch, only, self.encoders, path)
        dim = tap_width(branch, encoders, self.encoders, path)
        twin = (
            self._add_twin(branch, encoders, path)
            if branch.weights != "online"
            else followed.twin
            if followed
            else None
        )
        projector = followed.projector if followed else None
        if branch.projector is not None:
            self.projectors[name] = build("head", branch.projector, (*path, "projector"), dim=dim)
            projector = (None, name)
        elif projector is not None and twin is not None and projector[0] is None and branch.weights != "online":
            cast(Twin, self.twins[twin]).add("projector", projector[1], self.projectors[projector[1]])
            projector = (twin, projector[1])
        self.routes[name] = Route(encoders, only, twin, projector)
        width = dim if projector is None else head_width(self.projectors[projector[1]], dim)
        taps = dims_of(self.encoders[encoders[0]])
        self.widths |= {f"{name}.{tap}": w for tap, w in taps.items()} | {f"{name}.projected": width}
        width *= branch.fold or 1
        if branch.predictor is not None:
            self.predictors[name] = build("head", branch.predictor, (*path, "predictor"), dim=width, out=width)
            width = head_width(self.predictors[name], width)
        self.widths[name] = width

    def _add_twin(self, branch: Branch, encoders: tuple[str, ...], path: Path) -> str | None:
        """The name of the twin that the branch's encoders are of; None where they are frozen themselves."""
        if branch.of is None:
            self.frozen |= set(encoders)
            return None
        if self.routes[branch.of].twin is not None:
            raise ConfigError(f"{branch.of!r} follows another branch itself: name the trained one", (*path, "of"))
        momentum = branch.momentum if branch.weights == "ema" else None
        key = next((k for k, t in self.twins.items() if cast(Twin, t).momentum == momentum), f"twin_{len(self.twins)}")
        if key not in self.twins:
            self.twins[key] = Twin(momentum)
        for e in encoders:
            cast(Twin, self.twins[key]).add("encoder", e, self.encoders[e])
        return key

    def _freeze(self, path: Path) -> None:
        """Encoders of ``weights: frozen`` branches stand still; none may be trained elsewhere. So do those that no branch takes."""
        used = {e for route in self.routes.values() for e in route.encoders}
        for e in {*self.encoders} - used:
            self.encoders[e].requires_grad_(False)  # else a wrapper for several processes waits for their gradients
        for name, branch in self.branches.items():
            shared = self.frozen & set(self.routes[name].encoders)
            if branch.weights == "online" and branch.of is None and shared:
                raise ConfigError(
                    f"{', '.join(sorted(shared))} is frozen by another branch; give each its encoder", (*path, name)
                )
        for e in self.frozen:
            self.encoders[e].requires_grad_(False).eval()

    def _freeze_towers(self, wanted: Mapping[str, str]) -> None:
        """Encoders by name stand still, with their projectors where ``tower`` is said."""
        for e, what in wanted.items():
            if e not in self.encoders:
                raise ConfigError(f"there is no encoder {e!r}{did_you_mean(e, self.encoders)}", ("train", "frozen", e))
            self.frozen.add(e)
            self.encoders[e].requires_grad_(False).eval()
            if what == "tower":
                self.still |= {r.projector[1] for r in self.routes.values() if r.projector and e in r.encoders}
        for name, route in self.routes.items():
            others = [e for e in route.encoders if wanted.get(e) != "tower"]
            if route.projector and route.projector[1] in self.still and others:
                e = next(e for e, what in wanted.items() if what == "tower" and self._projected(e, route.projector[1]))
                raise ConfigError(
                    f"the projector of the branch {name!r} is that of {', '.join(others)} too, which isn't a frozen tower: "
                    "freeze the encoder alone (encoder), or these towers as well",
                    ("train", "frozen", e),
                )
        for owner in self.still:
            self.projectors[owner].requires_grad_(False).eval()

    def _projected(self, encoder: str, owner: str) -> bool:
        return any(r.projector and r.projector[1] == owner and encoder in r.encoders for r in self.routes.values())

    def train(self, mode: bool = True) -> Self:
        """What is frozen stays in eval mode, and so does a twin's copy of it."""
        super().train(mode)
        for encoders, projectors in self.held:
            for modules, names in ((encoders, self.frozen), (projectors, self.still)):
                for name in names & modules.keys():
                    modules[name].eval()
        return self

    @property
    def held(self) -> list[tuple[Named, Named]]:
        """Encoders and projectors: its own, and each twin's."""
        twins = [cast(Twin, twin) for twin in self.twins.values()]
        return [(self.encoders, self.projectors), *((twin.encoders, twin.projectors) for twin in twins)]

    # -- use ---------------------------------------------------------------------------------------------------------

    def forward(self, batch: Batch, needed: Collection[str]) -> dict[str, Rows]:
        """The needed tables: ``branch``, ``branch.projected`` or ``branch.<tap>``."""
        return self.tables(batch, self.parts(batch, needed))

    def parts(self, batch: Batch, needed: Collection[str]) -> dict[str, list[Part]]:
        """What the needed tables are made of, view by view: all the work of encoders and heads."""
        views = self._views(batch)
        for name in sorted({ref.partition(".")[0] for ref in needed}):
            if not views[name]:
                raise ConfigError(
                    f"branch {name!r} takes views like {', '.join(self.branches[name].views)}, but there is "
                    f"{', '.join(batch.views)}; name such a view under views:"
                )
        taps = self._forward(batch, views)
        projected: dict[Any, list[Part]] = {}
        made = {}
        for ref in sorted(needed):
            name, _, part = ref.partition(".")
            made[ref] = self._parts(name, part, taps, views[name], batch, projected)
        return made

    def tables(self, batch: Batch, parts: Mapping[str, Sequence[Part]]) -> dict[str, Rows]:
        """Tables made of the parts of a batch."""
        present = {n: presence(batch, v) for n, v in self._views(batch).items()}
        made = {}
        for ref, of in parts.items():
            name = ref.partition(".")[0]
            made[ref] = table(name, self.branches[name].grad, batch, of, present)
        return made

    @torch.no_grad()
    def table(self, batch: Batch, ref: str) -> Rows:
        """One table of a branch for all views of its modalities, whatever their slots, in eval mode."""
        name, _, part = ref.partition("/")[0].partition(".")
        views = [v for v in batch.views if self._encoder(name, v, batch) in self.routes[name].encoders]
        training = self.training
        self.eval()
        try:
            parts = self._parts(name, part, self._forward(batch, {name: views}), views, batch, {})
        finally:
            self.train(training)
        return table(name, False, batch, parts, {})

    def trained(self, modality: str) -> str | None:
        """The first branch of weights of its own, trained ones before frozen ones, that takes this modality's views."""
        own = [(name, branch) for name, branch in self.branches.items() if branch.of is None]
        for name, _ in sorted(own, key=lambda item: item[1].weights == "frozen"):
            if modality in {str(getattr(self.encoders[e], "modality", e)) for e in self.routes[name].encoders}:
                return name
        return None

    def _views(self, batch: Batch) -> dict[str, list[str]]:
        """The batch's views that each branch takes."""
        return {n: [v for v in batch.views if self._takes(n, v, batch)] for n in self.branches}

    def _takes(self, name: str, view: str, batch: Batch) -> bool:
        return matches(view, self.branches[name].views) and self._encoder(name, view, batch) in self.encoders

    def _encoder(self, name: str, view: str, batch: Batch) -> str:
        return self.routes[name].only or batch.views[view].modality

    def _key(self, name: str, view: str, batch: Batch) -> tuple[str | None, str, str]:
        return self.routes[name].twin, self._encoder(name, view, batch), view

    def _forward(self, batch: Batch, views: Mapping[str, list[str]]) -> dict[tuple[str | None, str, str], Taps]:
        """Taps by (twin, encoder, view)."""
        wanted: dict[tuple[str | None, str], dict[str, bool]] = {}
        for name, names in views.items():
            for v in names:
                twin, encoder, _ = self._key(name, v, batch)
                group = wanted.setdefault((twin, encoder), {})
                group[v] = group.get(v, True) and self.branches[name].together
        taps = {}
        for (twin, encoder), group in wanted.items():
            module = (self if twin is None else cast(Twin, self.twins[twin])).encoders[encoder]
            grad = twin is None and encoder not in self.frozen and torch.is_grad_enabled()
            made = forward_views(module, [batch.views[v] for v in group], all(group.values()), grad)
            taps.update({(twin, encoder, v): t for v, t in zip(group, made, strict=True)})
        return taps

    def _parts(
        self,
        name: str,
        part: str,
        taps: Mapping[tuple[str | None, str, str], Taps],
        views: list[str],
        batch: Batch,
        projected: dict[Any, list[Part]],
    ) -> list[Part]:
        """The rows of one of a branch's tables; branches that share a projector share what it made."""
        branch, route = self.branches[name], self.routes[name]
        tap = branch.tap if part in ("", "projected") else part
        made = of_views(batch, views, [taps[self._key(name, v, batch)][tap] for v in views])
        if part not in ("", "projected"):
            return made
        key = (route.twin, route.projector, branch.tap, branch.together, tuple(views))
        twin = route.projector[0] if route.projector is not None else route.twin
        with torch.set_grad_enabled(torch.is_grad_enabled() and twin is None):
            if key not in projected:
                width = self.widths[f"{name}.projected"]
                projected[key] = on_views(self._projector(route), made, width, branch.together)
            made = projected[key]
            if part == "projected":
                return made
            if branch.fold:
                made = fold(made, branch.fold, name, batch)
            predictor = self.predictors[name] if name in self.predictors else None
            return on_views(predictor, made, self.widths[name], branch.together)

    def _projector(self, route: Route) -> nn.Module | None:
        if route.projector is None:
            return None
        twin, owner = route.projector
        return (self if twin is None else cast(Twin, self.twins[twin])).projectors[owner]
