"""The tables of a method: how wide each is, and sources set up after what they are made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from contrapose.errors import ConfigError, did_you_mean
from contrapose.methods.routes import Path
from contrapose.methods.towers import Towers
from contrapose.sources.base import Source


def table_width(ref: str, towers: Towers, sources: Mapping[str, Source]) -> int:
    """The width of a table's vectors. Raises ``ConfigError`` where there is no such table."""
    whole = ref.partition("/")[0]
    if whole in towers.widths:
        return towers.widths[whole]
    name, _, part = whole.partition(".")
    if name in sources:
        return sources[name].width(lambda of: table_width(of, towers, sources), part)
    if name in towers.branches:
        parts = [w.partition(".")[2] for w in towers.widths if w.startswith(f"{name}.")]
        raise ConfigError(f"the branch {name!r} has no part {part!r}{did_you_mean(part, parts)}")
    raise ConfigError(f"there is no branch or source {name!r}{did_you_mean(name, [*towers.branches, *sources])}")


def set_up(sources: Mapping[str, Source], width: Callable[[str], int], path: Path) -> None:
    """Set each source up after those that it is made of. Raises ``ConfigError`` for a circle."""
    done: list[str] = []
    for name in sources:
        _after_others(name, sources, width, done, (), path)


def _after_others(
    name: str,
    sources: Mapping[str, Source],
    width: Callable[[str], int],
    done: list[str],
    above: tuple[str, ...],
    path: Path,
) -> None:
    where = (*path, above[0] if above else name)
    if name in above:
        raise ConfigError(f"sources are made of each other: {' of '.join((*above, name))}", where)
    if name in done:
        return
    for ref in sources[name].refs:
        of = ref.partition("/")[0].partition(".")[0]
        if of in sources:
            _after_others(of, sources, width, done, (*above, name), path)
    try:
        for ref in sources[name].refs:
            width(ref)
        sources[name].setup(width, sources)
    except ConfigError as e:
        raise ConfigError(e.message, (*where, *e.path)) from None
    done.append(name)
