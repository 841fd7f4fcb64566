"""From a config's node to a transform of another library, which a name and arguments say."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from contrapose.config.build import bind
from contrapose.errors import ConfigError, did_you_mean

Node = str | dict[str, Any]
"""``"Name"`` or ``{"use": "Name", **arguments}``; the argument ``transforms`` is a list of nodes."""


def transform(
    node: Node,
    library: str,
    known: Mapping[str, Callable[..., Any]],
    refused: Mapping[str, str],
    path: tuple[str | int, ...] = ("transform",),
) -> Any:
    """The transform, those in its ``transforms`` made first.

    Nothing but ``known`` can be named. Raises ``ConfigError`` for another name, one that is ``refused`` (with the reason), and
    arguments that the transform doesn't take.
    """
    arguments: dict[str, Any] = dict(node) if isinstance(node, dict) else {"use": node}
    name = str(arguments.pop("use", ""))
    if name in refused:
        raise ConfigError(f"{library}'s {name} is no view: {refused[name]}", path)
    if name not in known:
        raise ConfigError(f"{library} has no transform {name!r}{did_you_mean(name, known)}", path)
    if isinstance(parts := arguments.get("transforms"), list):
        made = [transform(part, library, known, refused, (*path, "transforms", i)) for i, part in enumerate(parts)]
        arguments["transforms"] = made
    bound = bind(known[name], arguments, path, f"{library}'s {name}")
    try:
        return known[name](**bound)
    except Exception as error:  # each checks its arguments in its own way
        raise ConfigError(f"{library}'s {name}: {' '.join(str(error).split())}", path) from error
