"""Which way each branch goes: in which order branches are built, and which encoders their views may need."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from torch import nn

from contrapose.branches.branch import Branch
from contrapose.branches.named import Named
from contrapose.errors import ConfigError, did_you_mean
from contrapose.types import matches

Path = tuple[str | int, ...]


@dataclass(frozen=True)
class Route:
    """What a branch runs through: its encoders by modality or name, its projector, and the twin that each is of (None: online)."""

    encoders: tuple[str, ...]
    only: str | None
    twin: str | None
    projector: tuple[str | None, str] | None


def in_order(branches: Mapping[str, Branch], path: Path) -> Iterator[str]:
    """Every branch after the one that it follows. Raises ``ConfigError`` for one that follows nobody, or a circle."""
    done: set[str] = set()
    waiting = [*branches]
    while waiting:
        ready = [n for n in waiting if branches[n].of is None or branches[n].of in done]
        if not ready:
            of = branches[waiting[0]].of
            known = [n for n in branches if n not in waiting]
            raise ConfigError(
                f"of: there is no branch {of!r} to follow{did_you_mean(str(of), known)}", (*path, waiting[0])
            )
        yield from ready
        done |= {*ready}
        waiting = [n for n in waiting if n not in ready]


def covered(branch: Branch, only: str | None, encoders: Named, path: Path) -> tuple[str, ...]:
    """The encoders that the branch's views may need: ``only`` that one, or those of its views' modalities."""
    if only is not None:
        if only not in encoders:
            raise ConfigError(f"there is no encoder {only!r}{did_you_mean(only, encoders)}", (*path, "encoder"))
        return (only,)
    modalities = [None if "/" not in glob else glob.partition("/")[0] for glob in branch.views]
    found = tuple(e for e in encoders if any(m is None or matches(f"{e}/", [f"{m}/"]) for m in modalities))
    if not found:
        raise ConfigError(f"views like {', '.join(branch.views)} have no encoder; add one under encoders:", path)
    return found


def tap_width(branch: Branch, names: Sequence[str], encoders: Named, path: Path) -> int:
    """The width of the branch's tap, which its encoders must agree on."""
    widths = {}
    for e in names:
        dims = dims_of(encoders[e])
        if branch.tap not in dims:
            raise ConfigError(
                f"the encoder {e!r} has no tap {branch.tap!r}{did_you_mean(branch.tap, dims)}", (*path, "tap")
            )
        widths[e] = dims[branch.tap]
    if len(set(widths.values())) > 1:
        shown = ", ".join(f"{e} {w}" for e, w in widths.items())
        raise ConfigError(f"a branch can't join encoders of different widths ({shown}): give each its own branch", path)
    return next(iter(widths.values()))


def dims_of(encoder: nn.Module) -> Mapping[str, int]:
    """The width of each of an encoder's taps."""
    return cast("Mapping[str, int]", encoder.dims)
