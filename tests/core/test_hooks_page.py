"""docs/hooks.md tells every hook by its exact signature, and what a target must be."""

from __future__ import annotations
import __future__

import importlib
import importlib.util
import inspect
import re
from pathlib import Path
from types import ModuleType

import pluggy
import pytest

from contrapose.plugins import API, KINDS, Registry, hookspecs
from contrapose.plugins.spec import GROUP

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/hooks.md"
TEXT = PAGE.read_text()
SNIPPETS = re.findall(r"^```python\n(.*?)^```", TEXT, re.M | re.S)
STUBS = [code for code in SNIPPETS if code.startswith("# contrapose.")]


def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("hooks_page", ROOT / "docs/hooks.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def declared() -> list[str]:
    """The hooks, as pluggy itself finds them."""
    manager = pluggy.PluginManager(GROUP)
    manager.add_hookspecs(hookspecs)
    return [name for name in vars(hookspecs) if name in vars(manager.hook)]


def test_the_page_is_the_hooks_of_today() -> None:
    assert script().page() == TEXT, "run: make docs"


@pytest.mark.parametrize("name", declared())
def test_every_hook_is_there_by_its_exact_signature(name: str) -> None:
    said = str(inspect.signature(getattr(hookspecs, name))).replace("'", "")
    assert f"\n## {name}\n\n```python\ndef {name}{said}: ...\n```\n" in TEXT


def test_every_kind_is_there() -> None:
    assert {*KINDS.values(), "register_commands", "reader_for"} == {*declared()}
    for kind, hook in KINDS.items():
        section = TEXT.partition(f"\n## {hook}\n")[2].partition("\n## ")[0]
        assert "In a config: `" in section, kind
        assert "The target is " in section, kind


@pytest.mark.parametrize("code", STUBS, ids=lambda code: re.search(r"^class (\w+)", code, re.M)[1])  # type: ignore[index]
def test_a_class_is_shown_as_it_is(code: str) -> None:
    """The snippet, run where the class is, defines one with the same members of the same signatures."""
    name = re.search(r"^class (\w+)", code, re.M)[1]  # type: ignore[index]
    module = importlib.import_module(code.partition("\n")[0].removeprefix("# "))
    names = dict(vars(module))
    exec(compile(code, name, "exec", __future__.annotations.compiler_flag, dont_inherit=True), names)
    shown, real = names[name], vars(module)[name]
    assert shown.__doc__ == real.__doc__
    assert inspect.get_annotations(shown) == {k: v for k, v in inspect.get_annotations(real).items() if k[0] != "_"}
    functions = {k: v for k, v in vars(real).items() if inspect.isfunction(v) and "qualname" not in k}
    for member, function in functions.items():
        if member in vars(shown) and function.__module__ == real.__module__:
            assert inspect.signature(vars(shown)[member]) == inspect.signature(function), member
    assert {m for m in functions if not m.startswith("_")} <= vars(shown).keys()


def test_the_plugin_module_is_accepted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from contrapose.cli.app import _made_by

    (tmp_path / "acme_wave_shown.py").write_text(SNIPPETS[0])
    metadata = tmp_path / "acme_wave-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-wave\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[contrapose]\nwave = acme_wave_shown\n")
    monkeypatch.syspath_prepend(tmp_path)
    registry = Registry(allow=["acme-wave"])
    plugin = next(p for p in registry.plugins() if p.prefix == "wave")
    assert [o.name for o in plugin.offers] == ["wave/net", "wave/pairs"]
    assert plugin.status == "missing: lib -> pip install lib"
    assert registry.manager.reader_for("a.tape") == "wave/tape"
    assert registry.manager.reader_for("a.csv") is None
    assert list(registry.manager.commands(_made_by)) == ["listen"]
    assert f"\nCONTRAPOSE_API = {API}\n" in SNIPPETS[0]
