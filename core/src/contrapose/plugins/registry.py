"""The registry: from a component's kind and name to the thing itself, imported on first use."""

from __future__ import annotations

import copy
import importlib
import importlib.util
import os
import shlex
import sys
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Any

from contrapose.errors import PluginError, did_you_mean
from contrapose.plugins.spec import KINDS, Offer, PluginStatus, Spec
from contrapose.plugins.watch import aside

DATA_FILES = (".yaml", ".yml")
TO_INSTALL = "those of contrapose: pip install contrapose-<modality>"
"""What a message says of a name that isn't on offer: a stranger may have chosen it, so it becomes no part of a command."""


class Registry:
    """What is on offer here. Plugins are discovered on the first question, not before; components are imported by ``load`` alone.

    ``allow_import``: whether a config may name code outside the registry as ``module:attribute`` (off: a config runs no code).
    """

    def __init__(self, allow: Iterable[str] = (), deny: Iterable[str] = (), allow_import: bool = False) -> None:
        self.allow = tuple(allow)
        self.deny = tuple(deny)
        self.allow_import = allow_import
        self._own: dict[tuple[str, str], tuple[Offer, object]] = {}
        self._loaded: dict[tuple[str, str], object] = {}
        self._files: dict[Path, PluginStatus] = {}

    @cached_property
    def manager(self) -> Any:
        """The plugins, discovered (``plugins.manager.Manager``)."""
        from contrapose.plugins.manager import Manager

        manager = Manager(self.allow, self.deny)
        manager.discover()
        return manager

    def plugins(self) -> list[PluginStatus]:
        """Every installed plugin, the core first, then the files loaded by ``load_file``."""
        return [*self.manager.plugins, *self._files.values()]

    def offers(self, kind: str) -> list[Offer]:
        """Everything on offer of one kind, in order of name. Raises ``PluginError`` for a kind that there isn't."""
        if kind not in KINDS:
            raise PluginError(f"there is no kind of component {kind!r}{did_you_mean(kind, KINDS)}")
        found = [o for plugin in self.manager.plugins for o in plugin.offers if o.kind == kind]
        found += [offer for offer, _ in self._own.values() if offer.kind == kind]
        return sorted(found, key=lambda o: (o.name, o.distribution))

    def clashes(self) -> list[list[Offer]]:
        """The offers of one kind and one full name, where there are several: an error once that name is used."""
        found: dict[tuple[str, str], list[Offer]] = {}
        for kind in KINDS:
            for offer in self.offers(kind):
                found.setdefault((kind, offer.name), []).append(offer)
        return [offers for offers in found.values() if len(offers) > 1]

    def find(self, kind: str, name: str) -> Offer:
        """The one component of this name. A bare name (``resnet18``) is accepted while it is unique.

        Raises ``PluginError`` for an unknown name (with the nearest one, or what to install) or an ambiguous one (naming who
        offers it).
        """
        offers = self.offers(kind)
        found = [o for o in offers if o.name == name] or [o for o in offers if o.spec.name == name]
        if len(found) == 1:
            return found[0]
        if not found:
            raise PluginError(self._unknown(kind, name, offers))
        who = " and ".join(f"{o.name} of {o.origin}" for o in found)
        if len({o.name for o in found}) == len(found):
            raise PluginError(f"the {kind} {name!r} is ambiguous: {who}; write the full name")
        mend = "deny one with --deny-plugin" if all(o.prefix for o in found) else "rename one"
        raise PluginError(f"the {kind} {name!r} is offered more than once: {who}; {mend}")

    def load(self, kind: str, name: str) -> object:
        """The component itself: its target imported, or its data file read to a dict (a fresh copy each time).

        Raises ``PluginError`` where the name can't be found, a required package lacks, or the import fails.
        """
        offer = self.find(kind, name)
        key = (kind, offer.name)
        if key in self._own:
            return self._own[key][1]
        if key not in self._loaded:
            self._loaded[key] = _load_target(offer)
        loaded = self._loaded[key]
        return copy.deepcopy(loaded) if isinstance(loaded, dict) else loaded

    def add(self, kind: str, name: str, obj: object, origin: str = "this session") -> Offer:
        """Offer an object made in a notebook or a plugin file, without prefix. The same name again replaces it."""
        if kind not in KINDS:
            raise PluginError(f"there is no kind of component {kind!r}{did_you_mean(kind, KINDS)}")
        target = f"{getattr(obj, '__module__', '?')}:{getattr(obj, '__qualname__', name)}"
        summary = (getattr(obj, "__doc__", None) or "").strip().partition("\n")[0]
        spec = Spec(name, target, summary, modality=getattr(obj, "modality", None))
        offer = Offer(kind, name, spec, origin, "")
        self._own[kind, name] = (offer, obj)
        return offer

    def load_file(self, path: str | Path) -> list[Offer]:
        """Run a Python file (``--plugin FILE``) and offer the decorated objects that it defines, by their bare names.

        The file becomes an ordinary module under its own name, so that what it defines can go to worker processes.
        Raises ``PluginError`` where it can't be read or run, or where its name belongs to another module.
        """
        path = Path(path)
        where = path.resolve()
        if where in self._files:
            return list(self._files[where].offers)
        module = _run_file(path)
        offers = []
        for obj in vars(module).values():
            mark = getattr(obj, "__dict__", {}).get("__contrapose__")
            if mark is not None and obj.__module__ == module.__name__:  # not what the file imports
                kind, name = mark
                offers.append(self.add(kind, name, obj, origin=str(path)))
        self._files[where] = PluginStatus(str(path), "", None, "ok", tuple(offers))
        return offers

    @property
    def options(self) -> str:
        """What a further command needs to offer the same files: ``" --plugin my_views.py"``, ``""`` without any."""
        return "".join(f" --plugin {shlex.quote(file.distribution)}" for file in self._files.values())

    def _unknown(self, kind: str, name: str, offers: list[Offer]) -> str:
        said = f"there is no {kind} {name!r}"
        for other in KINDS:
            if other != kind and any(name in (o.name, o.spec.name) for o in self.offers(other)):
                return f"{said}; did you mean the {other} of that name?"
        prefix, slash, _ = name.partition("/")
        near = did_you_mean(name, [o.name if slash else o.spec.name for o in offers])
        plugins = [p for p in self.manager.plugins if slash and p.prefix == prefix]
        if slash and not plugins and "did you mean" not in near:
            return f"{said}: no plugin {prefix!r} is installed; {TO_INSTALL}"
        for plugin in plugins:
            if not plugin.offers:
                return f"{said}: plugin {plugin.distribution} is {plugin.status}"
        own = "" if slash or "did you mean" in near else "; is it in a file of yours? --plugin FILE"
        return said + (near or f"; nothing that is installed offers a {kind}") + own


def clash(offers: Iterable[Offer]) -> str:
    """Offers of one name in words: ``the encoder 'foo/net' is offered by acme-foo 1.2 and other-foo 1.0``."""
    first, *_ = offers = list(offers)
    return f"the {first.kind} {first.name!r} is offered by {' and by '.join(o.origin for o in offers)}"


def import_target(target: str) -> object:
    """Import ``package.module:attribute`` (the attribute may be dotted)."""
    module, _, attribute = target.partition(":")
    found: object = importlib.import_module(module)
    for part in attribute.split("."):
        found = getattr(found, part)
    return found


def _load_target(offer: Offer) -> object:
    from contrapose.plugins.manager import absent, remedy

    if lacking := absent(offer.spec.requires):
        raise PluginError(
            f"the {offer.kind} {offer.name!r} needs {', '.join(lacking)}, which is not installed: "
            f"{remedy(offer.spec, lacking)}"
        )
    if offer.spec.target.endswith(DATA_FILES):
        return _read_data_file(offer)
    try:
        with aside():
            return import_target(offer.spec.target)
    except (Exception, SystemExit) as error:
        why = f"{type(error).__name__}: {error}"
        raise PluginError(
            f"the {offer.kind} {offer.name!r} of {offer.origin} can't be imported from {offer.spec.target}: {why}"
        ) from error


def _read_data_file(offer: Offer) -> object:
    from importlib import resources

    from contrapose.config.yaml import parse

    package, _, file = offer.spec.target.partition(":")
    try:
        text = resources.files(package).joinpath(file).read_text("utf-8")
    except (ImportError, OSError) as error:
        raise PluginError(
            f"the {offer.kind} {offer.name!r} of {offer.origin} lacks its file {file}: {error}"
        ) from error
    return parse(text, file).data


def _run_file(path: Path) -> Any:
    if not path.is_file():
        raise PluginError(f"there is no plugin file {path}")
    name, where = path.stem, path.resolve()
    if str(where.parent) not in sys.path:
        sys.path.append(str(where.parent))
    importlib.invalidate_caches()
    spec = importlib.util.find_spec(name) if name.isidentifier() else None
    if spec is None or spec.origin is None or Path(spec.origin).resolve() != where:
        raise PluginError(
            f"the plugin file {path} can't be imported as {name!r}, a name already taken or no name; rename it"
        )
    try:
        with aside():
            return importlib.import_module(name)
    except (Exception, SystemExit) as error:
        line = _line_in(error, where)
        raise PluginError(f"the plugin file {path}{line} failed: {type(error).__name__}: {error}") from error


def _line_in(error: BaseException, file: Path) -> str:
    """``":12"``, the last line of ``file`` on the way to the error, or ``""``."""
    if isinstance(error, SyntaxError):
        return f":{error.lineno}"
    line, trace = "", error.__traceback__
    while trace is not None:
        if Path(trace.tb_frame.f_code.co_filename) == file:
            line = f":{trace.tb_lineno}"
        trace = trace.tb_next
    return line


def _names(variable: str) -> tuple[str, ...]:
    return tuple(filter(None, (name.strip() for name in os.environ.get(variable, "").split(","))))


_registry: Registry | None = None


def registry() -> Registry:
    """The process's registry, made on first use from ``CONTRAPOSE_PLUGINS_ALLOW`` and ``CONTRAPOSE_PLUGINS_DENY``."""
    return _registry if _registry is not None else configure()


def configure(allow: Iterable[str] = (), deny: Iterable[str] = (), allow_import: bool = False) -> Registry:
    """Make the process's registry anew, with names allowed or denied on top of the environment's."""
    global _registry
    allow = (*_names("CONTRAPOSE_PLUGINS_ALLOW"), *allow)
    _registry = Registry(allow, (*_names("CONTRAPOSE_PLUGINS_DENY"), *deny), allow_import)
    return _registry
