"""What every component must keep, whatever its kind."""

from __future__ import annotations

import inspect
import io
from collections.abc import Mapping
from contextlib import redirect_stdout
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar

import pytest
from torch import nn

from contrapose.config import build, parameters
from contrapose.config.build import MISSING, check
from contrapose.errors import ConfigError
from contrapose.plugins import Offer, registry
from contrapose.testing.compare import must
from contrapose.testing.offer import needless_imports

NOTHING: Mapping[str, Any] = MappingProxyType({})


class Contract:
    """Base of all contracts.

    Attributes:
        spec: the name that the component is offered by (``acme/net``).
        arguments: what it is made with, beyond its defaults.
        specs: several names, each with its arguments, where the rest of the class holds for all of them.
        component: instead of ``spec``, a class, a function that makes the component, or a view function, that isn't offered.
        folder: an empty folder for each test, the root of paths in cells.
    """

    kind: ClassVar[str]
    spec: str | None = None
    arguments: Mapping[str, Any] = NOTHING
    specs: Mapping[str, Mapping[str, Any]] = NOTHING
    component: Any = None
    folder: Path

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Run every check for each of ``specs``."""
        if self.specs:
            metafunc.parametrize("_chosen", list(self.specs), indirect=True)

    @pytest.fixture(autouse=True)
    def _chosen(self, request: pytest.FixtureRequest, tmp_path: Path) -> None:
        self.folder = tmp_path
        if hasattr(request, "param"):
            self.spec, self.arguments = request.param, self.specs[request.param]

    @property
    def node(self) -> dict[str, Any]:
        """The component as a config says it."""
        if self.spec is not None:
            return {"use": self.spec, **self.arguments}
        found = inspect.getattr_static(self, "component")  # a plain function, not a method of the test
        found = found.__func__ if isinstance(found, staticmethod) else found
        assert found is not None, 'say what this class holds: spec = "plugin/name", or component = Class'
        return {"use": found, **self.arguments}

    def make(self, **facts: Any) -> Any:
        """The component, anew. ``facts`` fill arguments that weren't given, as a modality's do in a run."""
        return build(self.kind, self.node, **facts)

    @property
    def target(self) -> Any:
        """The class or function behind the component."""
        return self.node["use"] if self.spec is None else registry().load(self.kind, self.spec)

    # -- checks ------------------------------------------------------------------------------------------------------

    def test_listing_it_imports_neither_it_nor_torch(self) -> None:
        """``import contrapose`` and listing what there is cost neither torch nor what the component needs."""
        offer = self._offer()
        found = needless_imports(offer)
        assert not found, f"listing {offer.name} imports {', '.join(found)}: import these in {offer.spec.target} alone"

    def test_it_loads_and_says_what_it_is(self) -> None:
        """The offer has a summary in one line, and the target can be imported and called."""
        offer = self._offer()
        assert offer.spec.summary.strip(), f"give the Spec of {offer.name} a summary: one line for people"
        assert "\n" not in offer.spec.summary, f"the summary of {offer.name} must be one line"
        assert callable(self.target), f"{offer.spec.target} must be a class or function that makes the component"

    def test_it_is_documented(self) -> None:
        """The component has a docstring of its own."""
        target = self.target
        own = vars(target).get("__doc__") if isinstance(target, type) else target.__doc__
        generated = f"{getattr(target, '__name__', '')}("  # what a dataclass writes for itself
        written = (own or "").strip()
        assert written.removeprefix(generated) == written != "", f"give {target!r} a docstring: a line for people"

    def test_its_arguments_are_named_and_typed(self) -> None:
        """A config sees every argument, with a type to check it by, and a default of that type."""
        target = self.target
        # A module without an __init__ of its own takes nothing, though the signature that it inherits says otherwise.
        bare = getattr(target, "__init__", None) is nn.Module.__init__
        for p in () if bare else inspect.signature(target).parameters.values():
            hidden = p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD, p.POSITIONAL_ONLY)
            assert not hidden, f"{target!r} takes {p}, which a config can't give: name its arguments"
        for a in parameters(target):
            assert a.hint is not MISSING, f"give the argument {a.name!r} of {target!r} a type hint"
            assert not isinstance(a.hint, str), (
                f"the type hint {a.hint!r} of {a.name!r} can't be found at run time, so a config can't check it: import it"
            )
            if a.default is not MISSING:
                try:
                    check(a.default, a.hint)
                except ConfigError as error:
                    pytest.fail(f"the default of {a.name!r} is not of its type: {error}; widen the hint")

    def test_contrapose_show_shows_it(self) -> None:
        """``contrapose show KIND NAME`` prints it."""
        from contrapose.cli.show import show

        offer = self._offer()
        with must(f"contrapose show {self.kind} {offer.name} must print it"), redirect_stdout(io.StringIO()):
            show(self.kind, offer.name)

    def _offer(self) -> Offer:
        if self.spec is None:
            pytest.skip("not on offer: the class names a component, not a spec")
        return registry().find(self.kind, self.spec)
