"""What a whole plugin must keep."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Sequence
from functools import cached_property
from importlib import metadata
from pathlib import Path
from types import ModuleType

import pytest

from contrapose.errors import PluginError
from contrapose.plugins import KINDS, Offer, registry
from contrapose.plugins.spec import GROUP, PluginStatus
from contrapose.testing.contract import Contract
from contrapose.testing.offer import HOST, imported_by_listing

NAME = re.compile(r"[a-z0-9]+([-_.][a-z0-9]+)*")


class PluginContract:
    """A plugin is found and taken, costs nothing until it is used, and stands under contract with all that it offers.

    Attributes:
        plugin: the name of its entry point, by which its components' names begin.
        tests: the test modules that hold the contract classes of its components; by default the files ``test_*.py`` beside this
            class's.
        uncovered: names of components that no contract class holds, each with its kind: ``{("loss", "mine")}``.
    """

    plugin: str = ""
    tests: Sequence[ModuleType] = ()
    uncovered: frozenset[tuple[str, str]] = frozenset()

    @cached_property
    def status(self) -> PluginStatus:
        """The plugin as the host knows it."""
        assert self.plugin, 'say which plugin this class holds: plugin = "acme", the name of its entry point'
        known = registry().plugins()
        found = [p for p in known if self.plugin in (p.prefix, p.distribution if p.prefix is None else None)]
        assert found, (
            f"no plugin {self.plugin!r} is installed, but {', '.join(str(p.prefix) for p in known if p.prefix)}: "
            f'write an entry point of the group "{GROUP}", and pip install -e .'
        )
        return found[0]

    @property
    def offers(self) -> list[Offer]:
        """All that it offers. None where the host doesn't take it."""
        if not self.status.offers:
            pytest.skip(f"the host doesn't take it: {self.status.status}")
        return list(self.status.offers)

    # -- checks ------------------------------------------------------------------------------------------------------

    def test_the_host_takes_it(self) -> None:
        """It imports, declares the API that this contrapose has, implements hooks that there are, and lacks no package."""
        assert self.status.status == "ok", f"contrapose plugins says of {self.plugin!r}: {self.status.status}"
        assert self.status.offers, f"{self.plugin!r} offers nothing: implement a hook, marked with contrapose.hookimpl"

    def test_listing_it_imports_nothing_else(self) -> None:
        """``import contrapose`` and listing what there is import its plugin module and the standard library alone."""
        if self.status.prefix is None:
            pytest.skip("it is the core")
        points = [p for p in metadata.entry_points(group=GROUP) if p.name == self.plugin]
        own = {p.value.partition(":")[0] for p in points}
        packages = {name[: m.start()] for name in own for m in re.finditer(r"\.|$", name)}
        found = imported_by_listing(self.status.distribution) - imported_by_listing(HOST)
        heavy = {m.partition(".")[0] for m in found - packages} - sys.stdlib_module_names
        within = {f"{m}" for m in found - packages if m.partition(".")[0] in {p.partition(".")[0] for p in packages}}
        heavy = (heavy - {m.partition(".")[0] for m in within}) | within
        assert not heavy, (
            f"listing {self.plugin!r} imports {', '.join(sorted(heavy))}: import these where they are used"
        )

    def test_everything_on_offer_loads(self) -> None:
        """Every target can be imported."""
        for offer in self.offers:
            try:
                registry().load(offer.kind, offer.name)
            except PluginError as error:
                pytest.fail(f"the {offer.kind} {offer.name} must load: {error}")

    def test_names_are_plain(self) -> None:
        """Lower case, without the prefix, which the entry point's name gives, and once a kind."""
        for offer in self.offers:
            name = offer.spec.name
            assert NAME.fullmatch(name), (
                f"{name!r} must be of a-z, 0-9 and '-': the host puts {self.plugin}/ in front, the entry point's name"
            )
        names = [(o.kind, o.name) for o in self.offers]
        twice = {f"{kind} {name}" for kind, name in names if names.count((kind, name)) > 1}
        assert not twice, f"a name is one component of its kind, but there are several of {', '.join(sorted(twice))}"

    def test_everything_says_what_it_is(self) -> None:
        """Each Spec has a summary in one line."""
        for offer in self.offers:
            said = offer.spec.summary.strip()
            assert said, f"give the Spec of the {offer.kind} {offer.name} a summary: one line for people"
            assert "\n" not in said, f"the summary of the {offer.kind} {offer.name} must be one line"

    def test_views_and_encoders_say_what_they_read(self) -> None:
        """Their Spec has the modality, by which ``contrapose show`` and ``init`` find them."""
        if self.status.prefix is None:
            pytest.skip("it is the core, whose views are of any modality")
        for offer in self.offers:
            assert offer.kind not in ("view", "encoder") or offer.spec.modality, (
                f"give the Spec of the {offer.kind} {offer.name} its modality"
            )

    def test_every_component_is_under_contract(self) -> None:
        """A contract class of its kind holds it, in the modules of ``tests``."""
        kinds = {c.kind for c in contracts(Contract) if hasattr(c, "kind")} & {*KINDS}
        for offer in self.offers:
            if offer.kind in kinds and not {(offer.kind, n) for n in (offer.name, offer.spec.name)} & self._held:
                pytest.fail(
                    f"the {offer.kind} {offer.name} is under no contract: write a {offer.kind.title()}Contract class of it "
                    f"(see docs/testing.md), or name it in uncovered"
                )

    @cached_property
    def _held(self) -> set[tuple[str, str]]:
        """Kind and name of all components under a contract in the test modules."""
        classes = [c for m in self.tests or beside(type(self)) for c in vars(m).values() if isinstance(c, type)]
        held = [c for c in classes if issubclass(c, Contract) and hasattr(c, "kind")]
        return {(c.kind, name) for c in held for name in (c.spec, *c.specs) if name} | {*self.uncovered}


def contracts(base: type[Contract]) -> list[type[Contract]]:
    """All classes below one."""
    return [c for child in base.__subclasses__() for c in (child, *contracts(child))]


def beside(cls: type) -> list[ModuleType]:
    """The test modules in the folder of a class's own, imported as that is."""
    module = sys.modules[cls.__module__]
    package = module.__name__.rpartition(".")[0]
    names = sorted(p.stem for p in Path(str(module.__file__)).parent.glob("test_*.py"))
    return [importlib.import_module(f"{package}.{name}" if package else name) for name in names]
