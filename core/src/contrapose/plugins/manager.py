"""Finds the installed plugins and asks them what they offer, one by one, so that a broken one never stops the host."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterable
from dataclasses import replace
from importlib import metadata
from types import ModuleType
from typing import Any

import pluggy

from contrapose.errors import did_you_mean
from contrapose.plugins import hookspecs
from contrapose.plugins.spec import API, GROUP, KINDS, Offer, PluginStatus, Spec, wrong
from contrapose.plugins.watch import Watch, aside

HOST = "contrapose"


class Manager:
    """The plugins of this machine, as one pluggy manager plus what became of each.

    ``allow`` and ``deny`` name distributions or prefixes; they are applied before anything of a plugin is imported. The core's
    own components come through the same hooks, without a prefix, and can't be denied.
    """

    def __init__(self, allow: Iterable[str] = (), deny: Iterable[str] = ()) -> None:
        self.allow = frozenset(allow)
        self.deny = frozenset(deny)
        self.plugins: list[PluginStatus] = []
        self._pm = pluggy.PluginManager(GROUP)
        self._pm.add_hookspecs(hookspecs)

    def discover(self) -> None:
        """Load the core's own components, then every allowed entry point, in the order of prefix and distribution."""
        from contrapose.plugins import builtin

        self._admit(builtin, HOST, _host_version(), None, Watch())
        for distribution, version, point in sorted(self._points(), key=lambda p: (p[2].name, p[0])):
            if not self._allowed(distribution, point.name):
                self.plugins.append(PluginStatus(distribution, version, point.name, "denied"))
                continue
            watch = Watch()
            try:
                with watch.over():
                    module = point.load()
            except (Exception, SystemExit) as error:
                self._broken(distribution, version, point.name, f"can't import {point.value}: {_brief(error)}")
                continue
            self._admit(module, distribution, version, point.name, watch)

    def commands(self, make: Callable[[Callable[..., Any]], dict[str, Any]]) -> dict[str, list[tuple[str, Any]]]:
        """The commands of all plugins, by name, each with who offers it: ``make`` runs one plugin's hook.

        A plugin that fails adds none and counts as broken. Several may offer one name: an error once that is used.
        """
        commands: dict[str, list[tuple[str, Any]]] = {}
        for impl in self._pm.hook.register_commands.get_hookimpls():
            try:
                with aside():
                    made = make(lambda cli, impl=impl: _ask(impl, cli=cli))
            except (Exception, SystemExit) as error:
                self._demote(impl.plugin, f"register_commands: {_brief(error)}")
                continue
            for name, command in made.items():
                commands.setdefault(name, []).append((impl.plugin_name.partition(":")[0], command))
        return commands

    def reader_for(self, uri: str) -> str | None:
        """The name of the reader that the first plugin claims for ``uri``, or None. A plugin that fails claims nothing."""
        for impl in reversed(self._pm.hook.reader_for.get_hookimpls()):
            try:
                with aside():
                    name = _ask(impl, uri=uri)
                if name is not None and not isinstance(name, str):
                    raise TypeError(f"returned {name!r:.60}, expected a reader's name or None")
            except (Exception, SystemExit) as error:
                self._demote(impl.plugin, f"reader_for: {_brief(error)}")
                continue
            if name is not None:
                return str(name)
        return None

    def _points(self) -> list[tuple[str, str, metadata.EntryPoint]]:
        """The entry points of our group, each with its distribution's name and version.

        One damaged distribution, whoever it is of, makes ``importlib.metadata`` give none at all: then it is left out.
        """
        try:
            points: Iterable[metadata.EntryPoint] = metadata.entry_points(group=GROUP)
        except Exception:  # whatever reading a stranger's files raises
            points = []
            seen: set[str] = set()
            for found in metadata.distributions():
                if found.name in seen:  # the first on the path is the one that is imported
                    continue
                seen.add(found.name)
                try:
                    points += found.entry_points.select(group=GROUP)
                except Exception as error:
                    self._broken(found.name or "?", found.version or "", "?", f"its entry_points.txt: {_brief(error)}")
        return [(p.dist.name or "?", p.dist.version or "", p) if p.dist else ("?", "", p) for p in points]

    def _allowed(self, distribution: str, prefix: str) -> bool:
        names = {prefix, distribution, distribution.replace("_", "-").lower()}
        return not names & self.deny and (not self.allow or bool(names & self.allow))

    def _admit(self, module: ModuleType, distribution: str, version: str, prefix: str | None, watch: Watch) -> None:
        api = getattr(module, "CONTRAPOSE_API", None)
        if type(api) is not int or api != API:
            said = "declares no CONTRAPOSE_API" if api is None else f"is for plugin API {api!r:.20}"
            self._broken(
                distribution, version, prefix, f"it {said}, this contrapose has {API}; install a matching version"
            )
            return
        name = f"{distribution}:{prefix}"
        try:
            if (before := self._pm.get_name(module)) is not None:
                raise ValueError(f"its module is registered already, as {before.partition(':')[2]}")
            with watch.over_registration():
                self._pm.register(module, name)  # checks the hooks' signatures
            self._refuse_unknown_hooks(module)
            with watch.over():
                offers = tuple(self._offers(module, distribution, version, prefix))
        except (Exception, SystemExit) as error:
            if self._pm.has_plugin(name):
                self._pm.unregister(name=name)
            self._broken(distribution, version, prefix, _brief(error))
            return
        self.plugins.append(PluginStatus(distribution, version, prefix, _missing(offers) or "ok", offers, watch.notes))

    def _refuse_unknown_hooks(self, module: ModuleType) -> None:
        known = {*KINDS.values(), "register_commands", "reader_for"}
        for name in vars(module):
            options = self._pm.parse_hookimpl_opts(module, name)
            if options is not None and (hook := options.get("specname") or name) not in known:
                raise AttributeError(f"there is no hook {hook!r}{did_you_mean(hook, known)}")

    def _offers(self, module: ModuleType, distribution: str, version: str, prefix: str | None) -> Iterable[Offer]:
        for kind, hook in KINDS.items():
            names: set[str] = set()
            for impl in getattr(self._pm.hook, hook).get_hookimpls():
                if impl.plugin is not module:
                    continue
                try:
                    found = _ask(impl)
                    specs = list(found) if isinstance(found, Iterable) and not isinstance(found, str) else None
                except (Exception, SystemExit) as error:
                    raise RuntimeError(f"{hook}: {_brief(error)}") from error
                if specs is None:
                    raise TypeError(f"{hook}: expected a list of contrapose.Spec, got {found!r:.60}")
                for spec in specs:
                    if (why := wrong(spec)) is not None:
                        raise TypeError(f"{hook}: {why}")
                    if spec.name in names:
                        raise ValueError(f"{hook}: offers {spec.name!r} twice")
                    names.add(spec.name)
                    name = f"{prefix}/{spec.name}" if prefix else spec.name
                    yield Offer(kind, name, spec, distribution, version, prefix)

    def _broken(self, distribution: str, version: str, prefix: str | None, why: str) -> None:
        self.plugins.append(PluginStatus(distribution, version, prefix, f"broken: {why}"))

    def _demote(self, module: object, why: str) -> None:
        name = self._pm.get_name(module) or ""
        for i, p in enumerate(self.plugins):
            if f"{p.distribution}:{p.prefix}" == name:
                self.plugins[i] = replace(p, status=f"broken: {why}")


def _ask(impl: Any, **given: Any) -> Any:
    """Call a hook's implementation with those of its arguments that it names, so that a hook may gain one."""
    return impl.function(*(given[name] for name in impl.argnames))


def absent(modules: Iterable[str]) -> list[str]:
    """Those of the modules that can't be found here. Nothing is imported but the parents of dotted names."""
    lacking = []
    for module in modules:
        try:
            found = importlib.util.find_spec(module) is not None
        except (ImportError, ValueError):
            found = False
        if not found:
            lacking.append(module)
    return lacking


def remedy(spec: Spec, lacking: Iterable[str]) -> str:
    """The command that installs what a component lacks."""
    what = spec.extra or " ".join(lacking)
    return f"pip install '{what}'" if "[" in what else f"pip install {what}"


def _missing(offers: Iterable[Offer]) -> str | None:
    for offer in offers:
        if lacking := absent(offer.spec.requires):
            return f"missing: {', '.join(lacking)} -> {remedy(offer.spec, lacking)}"
    return None


def _host_version() -> str:
    try:
        return metadata.version(HOST)
    except metadata.PackageNotFoundError:
        return ""


def _brief(error: BaseException) -> str:
    """An exception in one line: its type, and the first line of what it says; of pluggy, all that it says of a hook."""
    if isinstance(error, pluggy.PluginValidationError):
        return " ".join(str(error).split()).partition(" for ")[2] or str(error)
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
