"""What API 1 froze stays; what is deprecated is said, and works until it goes."""

from __future__ import annotations

import re
import sys
import types
from pathlib import Path

import pluggy
import pytest

import contrapose.types
from contrapose.plugins import API, Registry, hookspecs, manager
from contrapose.plugins.spec import GROUP
from tests.compat.api import APART, FILE, TYPES, surface

ROOT = Path(__file__).resolve().parents[2]

GONE = """
{} line(s) of the contract of plugin API {} are gone or changed: plugins that are out there may break.
If nothing but an optional argument or field was added at the end, they won't: write the list anew by
`python -m tests.compat.api --write`. Anything else: keep the old form beside the new one, deprecate it, and let it go with the
next API number, as docs/compatibility.md says.

{}"""

NEW = """
{} line(s) are new in the public surface of plugin API {}, and are kept from now on. If that is meant, write the list anew by
`python -m tests.compat.api --write` and say it in CHANGELOG.md; if not, give the name an underscore.

{}"""


def test_the_public_surface_is_the_one_that_was_frozen() -> None:
    frozen, now = FILE.read_text(encoding="utf-8").splitlines(), list(surface())
    gone = [line for line in frozen if line not in now]
    assert not gone, GONE.format(len(gone), API, "\n".join(gone))
    new = [line for line in now if line not in frozen]
    assert not new, NEW.format(len(new), API, "\n".join(new))


def test_every_class_of_types_is_frozen_or_said_not_to_be() -> None:
    module = vars(contrapose.types)
    classes = {n for n, c in module.items() if isinstance(c, type) and c.__module__ == "contrapose.types"}
    assert classes == {*TYPES.split(), *APART.split()}
    assert not {*TYPES.split()} & {*APART.split()}
    page = (ROOT / "docs" / "compatibility.md").read_text(encoding="utf-8")
    assert [name for name in APART.split() if f"`{name}`" not in page] == []


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A plugin whose ``reader_for`` takes the arguments that the test says."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def install(signature: str, body: str) -> Registry:
        info = tmp_path / "acme-1.2.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1.2\n")
        (info / "entry_points.txt").write_text("[contrapose]\nacme = apifake_acme\n")
        (tmp_path / "apifake_acme.py").write_text(
            f"from contrapose import hookimpl\nCONTRAPOSE_API = 1\n@hookimpl\ndef reader_for({signature}):\n    {body}\n"
        )
        return Registry()

    yield install
    sys.modules.pop("apifake_acme", None)


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """A release in which ``reader_for`` has a new argument, ``base``, and ``uri`` is deprecated."""
    later = types.ModuleType("later")
    vars(later).update(vars(hookspecs))

    def reader_for(uri, base):
        """As it might become."""

    marker = pluggy.HookspecMarker(GROUP)
    said = DeprecationWarning(
        "reader_for's argument uri is deprecated since 0.9, and goes with plugin API 2: take base"
    )
    later.reader_for = marker(firstresult=True, warn_on_impl_args={"uri": said})(reader_for)
    monkeypatch.setattr(manager, "hookspecs", later)
    ask = manager._ask
    monkeypatch.setattr(manager, "_ask", lambda impl, **given: ask(impl, **given, base="here"))


def test_a_plugin_that_takes_a_deprecated_argument_works_and_is_named(installed, later, monkeypatch) -> None:
    registry = installed("uri", "return f'acme/{uri}'")
    (plugin,) = (p for p in registry.plugins() if p.prefix == "acme")
    assert plugin.status == "ok"
    (note,) = plugin.notes
    assert (
        note == "deprecated: reader_for's argument uri is deprecated since 0.9, and goes with plugin API 2: take base"
    )
    assert registry.manager.reader_for("x") == "acme/x"

    from contrapose.start import checks

    monkeypatch.setattr(checks, "registry", lambda: registry)
    found = next(c for c in checks._plugins() if c.name == "plugin acme")
    assert (found.state, found.said) == ("note", note)


def test_a_plugin_that_takes_the_new_argument_is_not_named(installed, later) -> None:
    registry = installed("base", "return f'acme/{base}'")
    (plugin,) = (p for p in registry.plugins() if p.prefix == "acme")
    assert (plugin.status, plugin.notes) == ("ok", ())
    assert registry.manager.reader_for("x") == "acme/here"


def test_the_page_s_snippets_do_what_it_says() -> None:
    """docs/compatibility.md: the number is today's, and the deprecation is one that pluggy carries out."""
    page = (ROOT / "docs" / "compatibility.md").read_text(encoding="utf-8")
    number, deprecation = re.findall(r"^```python\n(.*?)^```", page, re.M | re.S)
    namespace: dict[str, object] = {}
    exec(number, namespace)
    assert namespace["CONTRAPOSE_API"] == API
    exec(deprecation, namespace)
    options = getattr(namespace["reader_for"], f"{GROUP}_spec")
    assert options["firstresult"]
    assert str(options["warn_on_impl_args"]["uri"]) == namespace["said"]


def test_today_nothing_is_deprecated(installed) -> None:
    registry = installed("uri", "return None")
    assert [p.notes for p in registry.plugins() if p.prefix == "acme"] == [()]
