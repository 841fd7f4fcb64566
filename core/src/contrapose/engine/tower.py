"""A tower, the encoder and the projector that embed a modality: its weights out of one method, and into another."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from contrapose.data.failure import one_line
from contrapose.errors import CheckpointError
from contrapose.methods.method import Method

Weights = dict[str, dict[str, Tensor]]
"""The tensors of an ``encoder`` and of a ``projector``, by name; a tower without a projector has none."""


def parts_of(method: Method, modality: str) -> tuple[str, str, str | None]:
    """The trained branch of a modality, its encoder, and the branch that owns its projector. Raises ``CheckpointError``."""
    towers = method.towers
    name = towers.trained(modality)
    if name is None:
        raise CheckpointError(f"no branch of {modality} is trained, so it has no tower")
    route = towers.routes[name]
    encoder = next(e for e in route.encoders if str(getattr(towers.encoders[e], "modality", e)) == modality)
    return name, encoder, route.projector[1] if route.projector else None


def take_tower(method: Method, modality: str) -> Weights:
    """Copies of a tower's weights, on the CPU."""
    _, encoder, owner = parts_of(method, modality)
    pieces = {"encoder": method.towers.encoders[encoder]}
    if owner is not None:
        pieces["projector"] = method.towers.projectors[owner]
    return {
        kind: {name: t.detach().cpu().clone() for name, t in piece.state_dict().items()}
        for kind, piece in pieces.items()
    }


def put_towers(method: Method, towers: Mapping[str, Weights]) -> None:
    """Load towers by modality, into the twins that follow them too. Raises ``CheckpointError`` where they don't fit."""
    for modality, weights in towers.items():
        _, encoder, owner = parts_of(method, modality)
        for encoders, projectors in method.towers.held:
            _load(encoders, encoder, weights["encoder"], modality)
            if owner is not None and "projector" in weights:
                _load(projectors, owner, weights["projector"], modality)


def _load(modules: nn.ModuleDict, name: str, weights: Mapping[str, Tensor], modality: str) -> None:
    if name not in modules:
        return
    try:
        modules[name].load_state_dict(weights)
    except RuntimeError as error:
        raise CheckpointError(
            f"the tower of {modality} isn't what its config says any more: {one_line(error)}"
        ) from error
