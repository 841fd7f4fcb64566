"""What is done to each of the clips of a video: a view of clips for all of them, or one for each by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from contrapose.config import build
from contrapose.errors import ConfigError
from contrapose.types import ViewGenerator
from contrapose.views import Compose

Node = Any
Then = Node | Mapping[str, Node] | None
Way = tuple[str | int, ...]


def each(then: Then, names: Sequence[str], size: int | None) -> dict[str, ViewGenerator]:
    """The generator that each clip meets, by the clip's name. Raises ``ConfigError`` under ``then``.

    Args:
        then: a view of clips, a list of them, or a mapping from ``names`` to these; None for none.
        names: of the clips.
        size: handed to those of the views that take a ``size`` and weren't given one.
    """
    if then is None:
        return {}
    if isinstance(then, Mapping) and "use" not in then:
        if set(then) != set(names):
            raise ConfigError(f"expected a view for each of {', '.join(names)}, got {', '.join(then)}", ("then",))
        return {name: _one(node, ("then", name), size) for name, node in then.items()}
    return dict.fromkeys(names, _one(then, ("then",), size))


def _one(node: Node, path: Way, size: int | None) -> ViewGenerator:
    told = {} if size is None else {"size": size}
    if isinstance(node, list | tuple):
        generator: ViewGenerator = Compose(
            [build("view", n, (*path, i), modality="video", **told) for i, n in enumerate(node)]
        )
    else:
        generator = build("view", node, path, modality="video", **told)
    if generator.modality != "video":
        raise ConfigError(f"{generator!r} reads {generator.modality}, not clips: wrap it in video/frames", path)
    return generator
