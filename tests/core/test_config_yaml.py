"""YAML 1.2 to plain values, and one line with a line number for all that isn't."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from contrapose.config.yaml import dump, parse, read
from contrapose.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("3e-4", 0.0003),
        ("1e5", 100000.0),
        ("1E5", 100000.0),
        ("-2.5", -2.5),
        (".5", 0.5),
        ("5.", 5.0),
        ("7", 7),
        ("+12", 12),
        ("010", 10),
        ("0o17", 15),
        ("0x1F", 31),
        (".inf", math.inf),
        ("-.inf", -math.inf),
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("yes", "yes"),
        ("on", "on"),
        ("no", "no"),
        ("1:30", "1:30"),
        ("2024-01-01", "2024-01-01"),
        ("'1e-3'", "1e-3"),
        ('"null"', "null"),
        ("!!str 1e-3", "1e-3"),
        ("global_*", "global_*"),
        ("[1, a, [2.0]]", [1, "a", [2.0]]),
        ("{a: {b: []}}", {"a": {"b": []}}),
    ],
)
def test_scalars_are_those_of_yaml_1_2(text: str, value: object) -> None:
    found = parse(text, "x").data
    assert found == value
    assert type(found) is type(value)


def test_an_old_version_directive_changes_nothing() -> None:
    assert parse("%YAML 1.1\n---\na: yes\nb: 010\n", "x").data == {"a": "yes", "b": 10}


def test_lines_are_those_of_the_keys() -> None:
    lines = parse("a: 1\n\nb:\n  c: {d: 2,\n      e: 3}\n  f:\n    - 1\n    - g: 4\n", "x").lines
    assert lines["a",] == 1
    assert lines["b",] == 3
    assert lines["b", "c"] == 4
    assert lines["b", "c", "e"] == 5
    assert lines["b", "f", 1] == 8
    assert lines["b", "f", 1, "g"] == 8


def test_anchors_are_copies() -> None:
    data = parse("a: &x {k: 1}\nb: *x\n", "x").data
    data["a"]["k"] = 2
    assert data["b"] == {"k": 1}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: [1\nc: 2\n", "f.yaml:3: expected ',' or ']', but got ':'"),
        ("a: 1\nb: c: d\n", "f.yaml:2: mapping values are not allowed here"),
        ("a:\n\t- 1\n", "f.yaml:2: found character '\\t' that cannot start any token"),
        ("a: *x\n", "f.yaml:1: found undefined alias 'x'"),
        ("a: 1\n---\nb: 2\n", "f.yaml:2: but found another document"),
        ("a: 1\nb: {c: 1,\n c: 2}\n", "f.yaml:3: b.c is given twice, first in line 2"),
        ("a: 1\nb: 2\na: 3\n", "f.yaml:3: a is given twice, first in line 1"),
        (
            "a: 1\nb: !!python/name:os.system x\n",
            "f.yaml:2: the tag tag:yaml.org,2002:python/name:os.system is not allowed",
        ),
        ("a: !!python/object/apply:os.system [ls]\n", "f.yaml:1: the tag"),
        ("b: !mine 3\n", "f.yaml:1: the tag !mine is not allowed"),
        ("b: !!int abc\n", "f.yaml:1: 'abc' is no int"),
        ("a: &x [*x]\n", "f.yaml:1: an alias can't contain itself"),
        ("? [a, b]\n: 1\n", "f.yaml:1: a key must be a plain word"),
        ("a: \x01\n", "f.yaml: unacceptable character"),
    ],
)
def test_what_is_wrong_is_one_line_with_its_number(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        parse(text, "f.yaml")
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


def test_files_that_can_not_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no file"):
        read(tmp_path / "none.yaml")
    with pytest.raises(ConfigError, match=r"can't read .*: Is a directory"):
        read(tmp_path)
    (tmp_path / "b.yaml").write_bytes(b"\xff\xfe\x00a")
    with pytest.raises(ConfigError, match="is not a text file in UTF-8"):
        read(tmp_path / "b.yaml")


def test_dump_is_read_back_the_same_in_order() -> None:
    tree = {
        "z": {"lr": 1e-3, "tiny": 1e-05, "big": 1e22, "none": None, "yes": "yes", "quoted": "1e-3", "zero": "0o17"},
        "a": [{"use": "x", "list": [1, 2]}, "plain", []],
        "text": "two\nlines: and more",
        "empty": {},
        "date": "2024-01-01",
        "inf": -math.inf,
        "true": "true",
    }
    text = dump(tree)
    assert parse(text, "x").data == tree
    assert list(parse(text, "x").data) == list(tree)
    assert dump(parse(text, "x").data) == text
    assert "&id" not in dump({"a": tree["z"], "b": tree["z"]})
