"""Plugins: what is offered, found and loaded, and that no broken plugin stops the host."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from contrapose.errors import PluginError
from contrapose.plugins import Registry

Install = Callable[..., str]

GOOD = """
from contrapose import Spec, hookimpl
CONTRAPOSE_API = 1
@hookimpl
def register_encoders():
    return [Spec("net", "{module}_parts:net", "a net", requires={requires}, extra={extra})]
@hookimpl
def register_methods():
    return [Spec("plain", "{module}_data:presets/plain.yaml")]
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Install a fake distribution that lies on ``sys.path``; returns the name of its plugin module."""
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)

    def add(
        prefix: str,
        code: str = GOOD,
        *,
        distribution: str = "",
        requires: tuple[str, ...] = (),
        extra: str | None = None,
    ) -> str:
        distribution = distribution or f"acme-{prefix}"
        module = "fake_" + distribution.replace("-", "_")
        info = tmp_path / f"{distribution.replace('-', '_')}-1.2.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.2\n")
        (info / "entry_points.txt").write_text(f"[contrapose]\n{prefix} = {module}\n")
        text = textwrap.dedent(code).replace("{module}", module)
        text = text.replace("{requires}", repr(requires)).replace("{extra}", repr(extra))
        (tmp_path / f"{module}.py").write_text(text)
        (tmp_path / f"{module}_parts.py").write_text("def net(dim: int = 3):\n    return ('net', dim)\n")
        presets = tmp_path / f"{module}_data" / "presets"
        presets.mkdir(parents=True)
        (presets.parent / "__init__.py").touch()
        (presets / "plain.yaml").write_text("terms: {a: {tau: 1e-1}}\n")
        return module

    yield add
    for name in set(sys.modules) - before:
        if name.startswith("fake_"):
            del sys.modules[name]


def status(registry: Registry, prefix: str) -> str:
    return next(p.status for p in registry.plugins() if p.prefix == prefix)


def test_a_component_is_listed_without_being_imported_and_loaded_on_use(install: Install) -> None:
    module = install("foo")
    registry = Registry()
    offer = registry.find("encoder", "foo/net")
    assert (offer.name, offer.origin, offer.prefix, offer.spec.summary) == ("foo/net", "acme-foo 1.2", "foo", "a net")
    assert f"{module}_parts" not in sys.modules
    assert registry.load("encoder", "foo/net")(dim=4) == ("net", 4)  # type: ignore[operator]
    assert f"{module}_parts" in sys.modules


def test_a_bare_name_is_accepted_while_it_is_unique(install: Install) -> None:
    install("foo")
    assert Registry().find("encoder", "net").name == "foo/net"
    install("bar")
    with pytest.raises(PluginError, match=r"ambiguous: bar/net of acme-bar 1\.2 and foo/net of acme-foo 1\.2") as error:
        Registry().find("encoder", "net")
    assert "full name" in str(error.value)
    assert Registry().find("encoder", "bar/net").distribution == "acme-bar"


def test_a_name_that_two_distributions_offer_is_an_error_once_it_is_used(install: Install) -> None:
    install("foo")
    install("foo", distribution="evil-foo")
    registry = Registry()
    assert [p.status for p in registry.plugins() if p.prefix == "foo"] == ["ok", "ok"]
    with pytest.raises(PluginError, match=r"more than once: foo/net of acme-foo 1\.2 and foo/net of evil-foo 1\.2"):
        registry.load("encoder", "foo/net")
    assert Registry(deny=["evil-foo"]).find("encoder", "foo/net").distribution == "acme-foo"


def test_a_data_file_is_read_to_a_dict_of_its_own(install: Install) -> None:
    install("foo")
    registry = Registry()
    first = registry.load("method", "foo/plain")
    assert first == {"terms": {"a": {"tau": 0.1}}}
    first["terms"]["a"]["tau"] = 5
    assert registry.load("method", "foo/plain") == {"terms": {"a": {"tau": 0.1}}}


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("raise RuntimeError('boom')", "broken: can't import fake_acme_bad: RuntimeError: boom"),
        ("import no_such_module", "broken: can't import fake_acme_bad: ModuleNotFoundError: No module named 'no_such_"),
        ("def (:", "broken: can't import fake_acme_bad: SyntaxError"),
        ("import sys; sys.exit(3)", "broken: can't import fake_acme_bad: SystemExit: 3"),
        ("x = 1", "broken: it declares no CONTRAPOSE_API"),
        ("CONTRAPOSE_API = 9", "broken: it is for plugin API 9, this contrapose has 1"),
        (
            "from contrapose import hookimpl\nCONTRAPOSE_API = 1\n@hookimpl\ndef register_encoders():\n    return 1 / 0",
            "broken: RuntimeError: register_encoders: ZeroDivisionError: division by zero",
        ),
        (
            "from contrapose import hookimpl\nCONTRAPOSE_API = 1\n@hookimpl\ndef register_encoders():\n    return ['x']",
            "broken: TypeError: register_encoders: expected contrapose.Spec, got 'x'",
        ),
        (
            "from contrapose import hookimpl\nCONTRAPOSE_API = 1\n@hookimpl\ndef register_encoder():\n    return []",
            "broken: AttributeError: there is no hook 'register_encoder'; did you mean 'register_encoders'?",
        ),
        (
            "from contrapose import hookimpl\nCONTRAPOSE_API = 1\n@hookimpl\ndef register_encoders(x):\n    return []",
            "broken: hook 'register_encoders' hookimpl definition: register_encoders(x) Argument(s) {'x'} are declared",
        ),
    ],
)
def test_a_broken_plugin_is_shown_and_stops_nothing(install: Install, code: str, why: str) -> None:
    install("bad", code)
    install("foo")
    registry = Registry()
    assert status(registry, "bad").startswith(why)
    assert "\n" not in status(registry, "bad")
    assert registry.find("encoder", "foo/net")
    with pytest.raises(PluginError, match=r"there is no encoder 'bad/net': plugin acme-bad is broken: "):
        registry.find("encoder", "bad/net")


def test_a_lacking_package_is_said_with_what_to_install(install: Install) -> None:
    install("foo", requires=("sys", "no_such_module"), extra="acme-foo[all]")
    install("bar", requires=("no_such_module.sub",))
    registry = Registry()
    assert status(registry, "foo") == "missing: no_such_module -> pip install 'acme-foo[all]'"
    with pytest.raises(PluginError, match=r"'foo/net' needs no_such_module, .*: pip install 'acme-foo\[all\]'"):
        registry.load("encoder", "foo/net")
    with pytest.raises(PluginError, match=r"pip install no_such_module\.sub"):
        registry.load("encoder", "bar/net")


def test_a_target_that_fails_to_import_is_one_line_naming_the_distribution(install: Install, tmp_path: Path) -> None:
    module = install("foo")
    (tmp_path / f"{module}_parts.py").write_text("other = 1\n")
    with pytest.raises(PluginError, match=rf"'foo/net' of acme-foo 1\.2 can't be imported from {module}_parts:net"):
        Registry().load("encoder", "foo/net")


def test_denied_and_not_allowed_plugins_are_never_imported(install: Install) -> None:
    names = {prefix: install(prefix) for prefix in ("foo", "bar", "baz")}
    registry = Registry(allow=["foo", "acme-bar"], deny=["acme-bar"])
    assert {p.prefix: p.status for p in registry.plugins() if p.prefix in names} == {
        "foo": "ok",
        "bar": "denied",
        "baz": "denied",
    }
    assert names["foo"] in sys.modules
    assert names["bar"] not in sys.modules
    assert names["baz"] not in sys.modules
    with pytest.raises(PluginError, match="plugin acme-bar is denied"):
        registry.find("encoder", "bar/net")


def test_the_lists_come_from_the_environment_too(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    from contrapose.plugins import configure

    module = install("foo")
    monkeypatch.setenv("CONTRAPOSE_PLUGINS_DENY", "other, foo")
    try:
        assert status(configure(), "foo") == "denied"
        assert module not in sys.modules
    finally:
        monkeypatch.undo()
        configure()


@pytest.mark.parametrize(
    ("kind", "name", "message"),
    [
        ("encoder", "foo/nt", "did you mean 'foo/net'"),
        ("encoder", "nett", "did you mean 'net'"),
        ("encoder", "fooo/net", "did you mean 'foo/net'"),
        (
            "encoder",
            "quux/blorb",
            "no plugin 'quux' is installed; those of contrapose: pip install contrapose-<modality>",
        ),
        ("view", "foo/net", "there is no view 'foo/net'; did you mean the encoder of that name?"),
        ("enoder", "foo/net", "no kind of component 'enoder'; did you mean 'encoder'"),
    ],
)
def test_an_unknown_name_gets_a_hint(install: Install, kind: str, name: str, message: str) -> None:
    install("foo")
    with pytest.raises(PluginError) as error:
        Registry().find(kind, name)
    assert message in str(error.value)


def test_the_reader_of_an_address_is_the_first_that_claims_it(install: Install) -> None:
    code = """
    from contrapose import hookimpl
    CONTRAPOSE_API = 1
    @hookimpl
    def reader_for(uri):
        {body}
    """
    install("bad", code.replace("{body}", "raise OSError('no')"))
    install("foo", code.replace("{body}", "return 'foo/shards' if uri.startswith('foo:') else None"))
    registry = Registry()
    assert registry.manager.reader_for("foo:x") == "foo/shards"
    assert registry.manager.reader_for("x.parquet") is None
    assert status(registry, "bad") == "broken: reader_for: OSError: no"


def test_the_core_offers_its_own_without_a_prefix() -> None:
    registry = Registry()
    nce = registry.find("loss", "nce")
    assert (nce.prefix, nce.distribution) == (None, "contrapose")
    assert status(registry, None) == "ok"  # type: ignore[arg-type]


def test_every_builtin_target_exists() -> None:
    from contrapose.plugins import KINDS

    registry = Registry()
    for kind in KINDS:
        for offer in registry.offers(kind):
            if offer.prefix is None:
                assert registry.load(kind, offer.name) is not None


def test_add_offers_an_object_and_the_same_name_replaces_it() -> None:
    registry = Registry()
    registry.add("view", "wobble", len)
    registry.add("view", "wobble", abs)
    assert registry.load("view", "wobble") is abs
    registry.add("loss", "nce", abs)
    with pytest.raises(PluginError, match=r"more than once.*rename one"):
        registry.load("loss", "nce")
