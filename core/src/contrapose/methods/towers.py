"""The branches of a method, with the encoders, heads and twins that they share, each once."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Self, cast

import torch
from torch import Tensor, nn

from contrapose.branches.branch import Branch
from contrapose.branches.heads import run
from contrapose.branches.named import Named
from contrapose.branches.twin import Twin
from contrapose.config import build
from contrapose.errors import ConfigError, did_you_mean
from contrapose.methods.encode import Taps, forward_views, presence, table
from contrapose.types import Batch, Rows, matches


@dataclass(frozen=True)
class Route:
    """What a branch runs through: its encoders by modality or name, its projector, and the twin that each is of (None: online)."""

    encoders: tuple[str, ...]
    only: str | None
    twin: str | None
    projector: tuple[str | None, str] | None


class Towers(nn.Module):
    """Encodes a batch into the tables of all branches; each encoder sees each view once, however many branches use it."""

    def __init__(
        self, branches: Mapping[str, Branch], encoders: Mapping[str, nn.Module], path: tuple[str | int, ...]
    ) -> None:
        super().__init__()
        self.branches = dict(branches)
        self.encoders, self.projectors, self.predictors = Named(dict(encoders)), Named(), Named()
        self.twins = Named()
        self.routes: dict[str, Route] = {}
        self.widths: dict[str, int] = {}
        self.frozen: set[str] = set()
        for name in self._in_order(path):
            self._build(name, (*path, name))
        self._freeze(path)

    # -- construction ------------------------------------------------------------------------------------------------

    def _in_order(self, path: tuple[str | int, ...]) -> list[str]:
        """Every branch after the one that it follows."""
        done: list[str] = []
        waiting = [*self.branches]
        while waiting:
            ready = [n for n in waiting if self.branches[n].of is None or self.branches[n].of in done]
            if not ready:
                of = self.branches[waiting[0]].of
                known = [n for n in self.branches if n not in waiting]
                raise ConfigError(
                    f"of: there is no branch {of!r} to follow{did_you_mean(str(of), known)}", (*path, waiting[0])
                )
            done += ready
            waiting = [n for n in waiting if n not in ready]
        return done

    def _build(self, name: str, path: tuple[str | int, ...]) -> None:
        branch = self.branches[name]
        followed = self.routes[branch.of] if branch.of is not None else None
        only = branch.encoder or (followed.only if followed else None)
        encoders = self._covered(branch, only, path)
        dim = self._tap_width(branch, encoders, path)
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
        self.widths |= {f"{name}.{tap}": w for tap, w in self._dims(encoders[0]).items()} | {f"{name}.projected": width}
        if branch.predictor is not None:
            self.predictors[name] = build("head", branch.predictor, (*path, "predictor"), dim=width, out=width)
            width = head_width(self.predictors[name], width)
        self.widths[name] = width

    def _covered(self, branch: Branch, only: str | None, path: tuple[str | int, ...]) -> tuple[str, ...]:
        """The encoders that the branch's views may need."""
        if only is not None:
            if only not in self.encoders:
                raise ConfigError(
                    f"there is no encoder {only!r}{did_you_mean(only, self.encoders)}", (*path, "encoder")
                )
            return (only,)
        modalities = [None if "/" not in glob else glob.partition("/")[0] for glob in branch.views]
        found = tuple(e for e in self.encoders if any(m is None or matches(f"{e}/", [f"{m}/"]) for m in modalities))
        if not found:
            raise ConfigError(f"views like {', '.join(branch.views)} have no encoder; add one under encoders:", path)
        return found

    def _tap_width(self, branch: Branch, encoders: tuple[str, ...], path: tuple[str | int, ...]) -> int:
        widths = {}
        for e in encoders:
            dims = self._dims(e)
            if branch.tap not in dims:
                raise ConfigError(
                    f"the encoder {e!r} has no tap {branch.tap!r}{did_you_mean(branch.tap, dims)}", (*path, "tap")
                )
            widths[e] = dims[branch.tap]
        if len(set(widths.values())) > 1:
            shown = ", ".join(f"{e} {w}" for e, w in widths.items())
            raise ConfigError(
                f"a branch can't join encoders of different widths ({shown}): give each its own branch", path
            )
        return next(iter(widths.values()))

    def _add_twin(self, branch: Branch, encoders: tuple[str, ...], path: tuple[str | int, ...]) -> str | None:
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

    def _freeze(self, path: tuple[str | int, ...]) -> None:
        """Encoders of ``weights: frozen`` branches stand still; none may be trained elsewhere."""
        for name, branch in self.branches.items():
            shared = self.frozen & set(self.routes[name].encoders)
            if branch.weights == "online" and branch.of is None and shared:
                raise ConfigError(
                    f"{', '.join(sorted(shared))} is frozen by another branch; give each its encoder", (*path, name)
                )
        for e in self.frozen:
            self.encoders[e].requires_grad_(False).eval()

    def train(self, mode: bool = True) -> Self:
        """What is frozen stays in eval mode."""
        super().train(mode)
        for e in self.frozen:
            self.encoders[e].eval()
        return self

    def _dims(self, encoder: str) -> Mapping[str, int]:
        return cast("Mapping[str, int]", self.encoders[encoder].dims)

    # -- use ---------------------------------------------------------------------------------------------------------

    def forward(self, batch: Batch, needed: Collection[str]) -> dict[str, Rows]:
        """The needed tables: ``branch``, ``branch.projected`` or ``branch.<tap>``."""
        views = {n: [v for v in batch.views if self._takes(n, v, batch)] for n in self.branches}
        for name, names in views.items():
            if not names:
                raise ConfigError(
                    f"branch {name!r} takes views like {', '.join(self.branches[name].views)}, but there is "
                    f"{', '.join(batch.views)}; name such a view under views:"
                )
        present = {n: presence(batch, v) for n, v in views.items()}
        taps = self._forward(batch, views)
        projected: dict[Any, list[Tensor]] = {}
        tables: dict[str, Rows] = {}
        for ref in sorted(needed):
            name, _, part = ref.partition(".")
            z = self._part(name, part, [taps[self._key(name, v, batch)] for v in views[name]], views[name], projected)
            tables[ref] = table(name, self.branches[name].grad, batch, views[name], z, present)
        return tables

    @torch.no_grad()
    def table(self, batch: Batch, ref: str) -> Rows:
        """One table of a branch for all views of its modalities, whatever their slots, in eval mode."""
        name, _, part = ref.partition("/")[0].partition(".")
        views = [v for v in batch.views if self._encoder(name, v, batch) in self.routes[name].encoders]
        training = self.training
        self.eval()
        try:
            taps = self._forward(batch, {name: views})
            z = self._part(name, part, [taps[self._key(name, v, batch)] for v in views], views, {})
        finally:
            self.train(training)
        return table(name, False, batch, views, z, {})

    def trained(self, modality: str) -> str | None:
        """The first trained branch that takes this modality's views."""
        for name, branch in self.branches.items():
            if branch.weights != "online" or branch.of is not None:
                continue
            if modality in {str(getattr(self.encoders[e], "modality", e)) for e in self.routes[name].encoders}:
                return name
        return None

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
            grad = twin is None and torch.is_grad_enabled()
            made = forward_views(module, [batch.views[v] for v in group], all(group.values()), grad)
            taps.update({(twin, encoder, v): t for v, t in zip(group, made, strict=True)})
        return taps

    def _part(
        self, name: str, part: str, taps: list[Taps], views: list[str], projected: dict[Any, list[Tensor]]
    ) -> list[Tensor]:
        """The tensors of one of a branch's tables, one a view; branches that share a projector share what it made."""
        branch, route = self.branches[name], self.routes[name]
        if part not in ("", "projected"):
            return [t[part] for t in taps]
        key = (route.twin, route.projector, branch.tap, branch.together, tuple(views))
        twin = route.projector[0] if route.projector is not None else route.twin
        with torch.set_grad_enabled(torch.is_grad_enabled() and twin is None):
            if key not in projected:
                width = self.widths[f"{name}.projected"]
                projected[key] = on_views(self._projector(route), [t[branch.tap] for t in taps], width, branch.together)
            if part == "projected" or name not in self.predictors:
                return projected[key]
            return on_views(self.predictors[name], projected[key], self.widths[name], branch.together)

    def _projector(self, route: Route) -> nn.Module | None:
        if route.projector is None:
            return None
        twin, owner = route.projector
        return (self if twin is None else cast(Twin, self.twins[twin])).projectors[owner]


def on_views(head: nn.Module | None, views: list[Tensor], width: int, together: bool) -> list[Tensor]:
    """A head on each view's rows: on all of them in one batch, or on one view after the other."""
    if not together or len({v.shape[1:] for v in views}) > 1:
        return [run(head, v, width) for v in views]
    return list(run(head, torch.cat(views), width).split([len(v) for v in views]))


def head_width(head: nn.Module, dim: int) -> int:
    """A head's width: what it says of itself, or what comes out of it."""
    out: Any = getattr(head, "out", None)
    if isinstance(out, int):
        return out
    training = head.training
    with torch.no_grad():
        made = head.eval()(torch.zeros(2, dim))
    head.train(training)
    return int(made.shape[-1])
