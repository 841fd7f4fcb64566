"""A config: a plain tree, where each of its keys was written, and its validated top level."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from contrapose.config.yaml import Way, dump, parse, read
from contrapose.errors import ConfigError

if TYPE_CHECKING:
    from contrapose.config.schema import RunConfig

COMPONENTS = ("modalities", "views", "encoders", "method", "evaluate")
"""The keys below which a plugin's components get their arguments."""


class Config:
    """``data`` is the plain tree of dicts, lists and scalars; ``source`` the file that it was read from, if any."""

    def __init__(
        self, data: dict[str, Any], source: Path | None = None, lines: Mapping[Way, int] | None = None
    ) -> None:
        self.data = data
        self.source = source
        self._lines = dict(lines or {})
        self._set: dict[Way, str] = {}

    @classmethod
    def load(cls, path: str | Path, overrides: Iterable[str] = ()) -> Config:
        """Read a YAML 1.2 file, then set ``overrides`` (``"train.lr=3e-4"``, the value being YAML too).

        What begins with ./ or ../ is a path from the file's folder, if something is there.

        Raises ``ConfigError``, as ``file:line: why`` where a line is to blame.
        """
        parsed = read(Path(path))
        data = {} if parsed.data is None else parsed.data
        if not isinstance(data, dict):
            raise ConfigError(f"{path}:1: a config is a mapping of keys to values, this is a {type(data).__name__}")
        return cls(whole_paths(data, Path(path).parent), Path(path), parsed.lines)._override(overrides)

    @classmethod
    def of(cls, data: Mapping[str, Any] | Config, overrides: Iterable[str] = ()) -> Config:
        """A config from Python; values may be component objects. A ``Config`` is copied."""
        if isinstance(data, Config):
            made = cls(copy.copy(data.data), data.source, data._lines)
            made._set = dict(data._set)
        else:
            made = cls(dict(data))
        made.data = _copied(made.data)
        return made._override(overrides)

    @cached_property
    def run(self) -> RunConfig:
        """The validated top level. Raises ``ConfigError`` with the path of the first thing that is wrong."""
        from contrapose.config.schema import RunConfig, validate

        found: RunConfig = validate(self.data, RunConfig)
        return found

    def get(self, path: Way, default: Any = None) -> Any:
        """What stands at ``path``, or ``default`` where nothing does."""
        tree: Any = self.data
        for part in path:
            try:
                tree = tree[part]
            except (KeyError, IndexError, TypeError):
                return default
        return tree

    def where(self, path: Way = ()) -> str:
        """Where the key at ``path`` was written, or the nearest key above it: ``"my.yaml:12"``, ``"--set train.lr"``, ``""``."""
        for end in range(len(path), -1, -1):
            if path[:end] in self._set:
                return f"--set {self._set[path[:end]]}"
            if end and path[:end] in self._lines:
                return f"{self.source}:{self._lines[path[:end]]}"
        return str(self.source) if self.source else ""

    @contextmanager
    def located(self) -> Iterator[None]:
        """Put file, line and key in front of a ``ConfigError`` that carries only a path: ``my.yaml:12: train.lr: why``."""
        try:
            yield
        except ConfigError as error:
            if not error.path:
                raise
            raise ConfigError(self.locate(error)) from error

    def locate(self, error: ConfigError) -> str:
        """The message of an error with file, line and key in front of it."""
        if not error.path:
            return error.message
        key = ".".join(map(str, error.path))
        return ": ".join(filter(None, (self.where(error.path), key, error.message)))

    def dump(self) -> str:
        """The config as YAML, in the order of its keys. Raises ``ConfigError`` for a value that YAML can't hold."""
        return dump(plain(self.data))

    def _override(self, overrides: Iterable[str]) -> Config:
        for override in overrides:
            key, equals, text = override.partition("=")
            if not equals or not key.strip():
                raise ConfigError(f"--set {override}: expected KEY=VALUE, such as train.lr=3e-4")
            self._put(key.strip(), parse(text, f"--set {key.strip()}").data)
        self.__dict__.pop("run", None)
        return self

    def _put(self, key: str, value: Any) -> None:
        parts = key.split(".")
        way: Way = ()
        parent: Any = None
        node: Any = self.data
        while parts:
            if isinstance(node, str) and way:  # "acme/noise" is short for {use: acme/noise}
                node = parent[way[-1]] = {"use": node}
            elif node is None and way:
                node = parent[way[-1]] = {}
            part, parts = _next(node, parts, f"--set {key}", way)
            way, parent = (*way, part), node
            node = node.get(part) if isinstance(node, dict) else node[part]
        parent[way[-1]] = value
        for written in (self._lines, self._set):
            for old in [w for w in written if w[: len(way)] == way]:
                del written[old]
        self._set[way] = key


def _next(node: Any, parts: list[str], where: str, way: Way) -> tuple[Any, list[str]]:
    """The next step into ``node``, and the parts left. Keys may hold dots (``wave.query``), so the longest that is there wins."""
    above = ".".join(map(str, way))
    if isinstance(node, dict):
        for end in range(len(parts), 0, -1):
            if (key := ".".join(parts[:end])) in node:
                return key, parts[end:]
        return parts[0], parts[1:]
    if isinstance(node, list):
        if not parts[0].lstrip("-").isdigit():
            raise ConfigError(f"{where}: {above} is a list: expected a position, got {parts[0]!r}")
        if not -len(node) <= int(parts[0]) < len(node):
            raise ConfigError(f"{where}: {above} has {len(node)} items, so there is no {parts[0]}")
        return int(parts[0]) % len(node), parts[1:]
    raise ConfigError(f"{where}: {above} is {node!r}, which has no key {parts[0]!r}")


def _copied(tree: Any) -> Any:
    """The tree's dicts and lists copied; what they hold (modules, readers) is shared."""
    if isinstance(tree, Mapping):
        return {key: _copied(value) for key, value in tree.items()}
    return [_copied(value) for value in tree] if isinstance(tree, list) else tree


def whole_paths(data: Mapping[str, Any], base: Path) -> dict[str, Any]:
    """A config whose components' paths hold from any folder: text that begins with ./ or ../, where ``base`` has that.

    ``data`` and other keys of the core mean a path by any text, and see to it themselves; columns mean none.
    """
    return {key: _whole(value, base) if key in COMPONENTS else value for key, value in data.items()}


def _whole(tree: Any, base: Path) -> Any:
    if isinstance(tree, dict):
        return {key: value if key == "columns" else _whole(value, base) for key, value in tree.items()}
    if isinstance(tree, list):
        return [_whole(value, base) for value in tree]
    if isinstance(tree, str) and tree.startswith(("./", "../")) and tree.strip("./") and os.path.exists(base / tree):
        return str((base / tree).resolve())
    return tree


def plain(tree: Any, path: Way = ()) -> Any:
    """``tree`` with tuples as lists, paths as text. Raises ``ConfigError`` for what isn't plain (an object given from Python)."""
    if isinstance(tree, Mapping):
        return {str(key): plain(value, (*path, str(key))) for key, value in tree.items()}
    if isinstance(tree, (list, tuple)):
        return [plain(value, (*path, i)) for i, value in enumerate(tree)]
    if isinstance(tree, Path):
        return str(tree)
    if tree is None or isinstance(tree, (bool, int, float, str)):
        return tree
    raise ConfigError(f"{type(tree).__name__} objects can't be written to YAML; name a registered component", path)
