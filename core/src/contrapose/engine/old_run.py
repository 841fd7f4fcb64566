"""The run that another extends: its towers, and what a config must say so that they embed as they did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contrapose.config import signature
from contrapose.config.build import MISSING
from contrapose.errors import CheckpointError
from contrapose.methods.method import Method

from . import folder
from .build import Parts
from .components import eval_view
from .fitted import load_fitted
from .tower import parts_of, take_tower
from .trained import restored


@dataclass(frozen=True)
class OldRun:
    """The run that is extended."""

    where: Path
    parts: Parts
    method: Method

    @classmethod
    def open(cls, where: Path) -> OldRun:
        """The run in a folder. Raises ``CheckpointError``, and ``ConfigError`` for what its config needs and isn't installed."""
        saved = folder.read_config(where)
        try:
            folder.require_rebuildable(saved)
        except CheckpointError as error:
            raise CheckpointError(f"{where} can't be extended, as no config alone rebuilds it: {error}") from None
        with saved.located():  # what isn't installed is a matter of that config's lines
            parts = Parts(saved, load_fitted(where))
            old = cls(where, parts, restored(where, parts))
        if not old.modalities:
            raise CheckpointError(f"{where} can't be extended: it trained no branch, so it has no space to join")
        return old

    @property
    def modalities(self) -> list[str]:
        """Those that it embeds."""
        return [m for m in self.parts.columns if self.method.towers.trained(m)]

    def encoder(self, modality: str) -> Any:
        """The node of a modality's encoder."""
        return self.parts.run.encoders[parts_of(self.method, modality)[1]]

    def width(self, modality: str) -> int:
        """The width of the space that it embeds a modality into."""
        return self.method.towers.widths[f"{parts_of(self.method, modality)[0]}.projected"]

    def branch(self, modality: str) -> dict[str, Any]:
        """What a branch says by which a modality is embedded as it was: tap and projector, with every argument."""
        name, _, owner = parts_of(self.method, modality)
        projector = self.parts.recipe["branches"][owner]["projector"] if owner else None
        return {"tap": self.method.towers.branches[name].tap, "projector": _complete(projector)}

    def view(self, modality: str) -> Any:
        """The node of the view by which it is embedded, None where that is the data as they are."""
        return self.parts.run.evaluate.views.get(modality) or eval_view(modality, self.parts.run.views)

    def column(self, modality: str) -> Any:
        """What its config says of a modality under ``modalities``."""
        return self.parts.config.data.get("modalities", {}).get(modality, modality)

    def state(self, towers: Sequence[str], data: Mapping[str, Any]) -> dict[str, Any]:
        """What it fitted and learnt for these towers, as far as a new run's views are its own."""
        fitted = self.parts.fitted_state
        views, kept = data.get("views") or {}, data["evaluate"]["views"]
        evals = {m: s for m, s in fitted.get("eval", {}).items() if m in towers and kept.get(m) == self.view(m)}
        return {
            "modalities": {m: s for m, s in fitted.get("modalities", {}).items() if m in towers},
            "eval": evals,
            "views": {m: s for m, s in evals.items() if views.get(m) == self.view(m)},
            "towers": {m: take_tower(self.method, m) for m in towers},
        }


def _complete(node: Any) -> Any:
    """A head's node with each of its defaults written down, so that no other node shows through where it is laid over one."""
    if node is None:
        return None
    node = as_mapping(node)
    defaults = {p.name: p.default for p in signature("head", node["use"]) if p.default is not MISSING}
    return {"use": node["use"], **defaults, **node}


def as_mapping(node: Any) -> Any:
    """A component's node as ``{use: name, **arguments}``."""
    return dict(node) if isinstance(node, Mapping) else {"use": node}
