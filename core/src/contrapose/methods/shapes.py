"""Shapes of a pair graph by name: which modalities meet."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from itertools import combinations, pairwise
from typing import Literal

from contrapose.errors import ConfigError, did_you_mean

Shape = Literal["full", "hub", "chain"]


def drawn(graph: Shape, modalities: Sequence[str], centre: str | None = None) -> list[tuple[str, str]]:
    """The pairs of a shape, in the order of ``modalities``.

    Args:
        graph: ``full``, every modality with every other; ``hub``, ``centre`` with every other; ``chain``, each with the next.
        modalities: two or more, each once.
        centre: of a hub, one of them.

    Raises:
        ConfigError: a modality is there twice, or alone, or the centre is none of them.
    """
    if len(set(modalities)) < 2:
        raise ConfigError("lists two modalities or more", ("modalities",))
    if twice := next((m for m in modalities if modalities.count(m) > 1), None):
        raise ConfigError(f"the modality {twice} is there twice", ("modalities",))
    if graph == "hub":
        if centre is None:
            raise ConfigError(f"a hub needs its centre, one of {', '.join(modalities)}", ("centre",))
        known(centre, modalities, ("centre",))
        return [(centre, m) for m in modalities if m != centre]
    if centre is not None:
        raise ConfigError(f"only a hub has a centre, and this graph is {graph}", ("centre",))
    return [*(pairwise(modalities) if graph == "chain" else combinations(modalities, 2))]


def known(name: str, modalities: Collection[str], path: tuple[str | int, ...]) -> None:
    """Raises ``ConfigError`` where a modality is none of those that there are."""
    if name not in modalities:
        hint = did_you_mean(name, modalities) or f"; there is {', '.join(modalities)}"
        raise ConfigError(f"there is no modality {name!r}{hint}", path)


def islands(pairs: Iterable[tuple[str, str]]) -> list[list[str]]:
    """The modalities by what pairs lead to from one another; one list where the graph is connected."""
    found: list[list[str]] = []
    for pair in pairs:
        met = [island for island in found if not {*island}.isdisjoint(pair)]
        rest = [island for island in found if island not in met]
        found = [*rest, [*dict.fromkeys([m for island in met for m in island] + [*pair])]]
    return found
