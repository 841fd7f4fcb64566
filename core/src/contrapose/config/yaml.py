"""YAML 1.2 to plain dicts, lists and scalars, with the line of every key. Nothing in a file can name code, or fill the memory."""

from __future__ import annotations

from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any

from contrapose.errors import ConfigError

Way = tuple[str | int, ...]
"""The way to a node: keys and list positions from the root."""

_TAG = "tag:yaml.org,2002:"

MOST = 200_000
"""Values of a document with its aliases spelt out: ten lines of them can stand for billions."""
DEEPEST = 100
"""Levels of a document."""
LONGEST = 400
"""Characters of a number."""


@dataclass
class Parsed:
    """A document: its plain tree, and for the way to each node the 1-based line where its key (or item) stands."""

    data: Any
    lines: dict[Way, int] = field(default_factory=dict)


def parse(text: str, name: str) -> Parsed:
    """Read one YAML document. Raises ``ConfigError`` as ``name:line: why`` where it isn't one, repeats a key, or is a bomb."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    reader = YAML(typ="safe", pure=True)
    try:
        root = reader.compose(StringIO(text))
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{name}:{mark.line + 1}" if mark else name
        raise ConfigError(f"{where}: {error.problem or error.context}") from error
    except YAMLError as error:
        raise ConfigError(f"{name}: {str(error).splitlines()[0]}") from error
    except RecursionError:
        raise ConfigError(f"{name}: more than {DEEPEST} levels deep") from None
    parsed = Parsed(None)
    if root is not None:
        parsed.data = _plain(root, (), parsed.lines, name, ())
    return parsed


def read(path: Path) -> Parsed:
    """Read a YAML file. Raises ``ConfigError`` where there is none, or as ``parse`` does."""
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        raise ConfigError(f"there is no file {path}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is not a text file in UTF-8") from None
    except OSError as error:
        raise ConfigError(f"can't read {path}: {error.strerror}") from None
    return parse(text, str(path))


def dump(tree: Any) -> str:
    """A plain tree as YAML 1.2, keys in the tree's order, innermost lists and mappings on one line."""
    from ruamel.yaml import YAML

    writer = YAML(typ="safe", pure=True)
    writer.default_flow_style = None
    writer.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    writer.width = 120
    writer.representer.ignore_aliases = lambda _: True
    out = StringIO()
    writer.dump(tree, out)
    return out.getvalue()


def _plain(node: Any, way: Way, lines: dict[Way, int], name: str, above: tuple[Any, ...]) -> Any:
    from ruamel.yaml.nodes import MappingNode, ScalarNode, SequenceNode

    line = node.start_mark.line + 1
    lines.setdefault(way, line)
    if node in above:
        raise ConfigError(f"{name}:{line}: an alias can't contain itself")
    if len(above) > DEEPEST:
        raise ConfigError(f"{name}:{line}: more than {DEEPEST} levels deep")
    if len(lines) > MOST:
        raise ConfigError(f"{name}:{line}: more than {MOST:,} values with all aliases spelt out")
    if isinstance(node, ScalarNode):
        return _scalar(node, f"{name}:{line}")
    if str(node.tag) not in (f"{_TAG}map", f"{_TAG}seq"):
        raise ConfigError(f"{name}:{line}: the tag {node.tag} is not allowed")
    if isinstance(node, SequenceNode):
        return [_plain(item, (*way, i), lines, name, (*above, node)) for i, item in enumerate(node.value)]
    assert isinstance(node, MappingNode)
    tree: dict[str, Any] = {}
    for key_node, value in node.value:
        where = f"{name}:{key_node.start_mark.line + 1}"
        if not isinstance(key_node, ScalarNode):
            raise ConfigError(f"{where}: a key must be a plain word")
        key = str(key_node.value)
        if key in tree:
            raise ConfigError(
                f"{where}: {'.'.join(map(str, (*way, key)))} is given twice, first in line {lines[*way, key]}"
            )
        lines[*way, key] = key_node.start_mark.line + 1
        tree[key] = _plain(value, (*way, key), lines, name, (*above, node))
    return tree


def _scalar(node: Any, where: str) -> Any:
    """The core schema of YAML 1.2 (https://yaml.org/spec/1.2.2, 10.3.2): 1e-3 is a number; yes, on and 2024-01-01 are text."""
    text, kind = node.value, str(node.tag).removeprefix(_TAG)
    if kind in ("int", "float") and len(text) > LONGEST:
        raise ConfigError(f"{where}: a number of {len(text):,} characters")
    try:
        match kind:
            case "str" | "timestamp" | "value" | "merge":
                return text
            case "null":
                return None
            case "bool":
                return {"true": True, "false": False}.get(text.lower(), text)
            case "int":
                return int(text.replace("_", ""), {"0o": 8, "0x": 16}.get(text[:2], 10))
            case "float":
                return float(text.replace("_", "").replace(".inf", "inf").replace(".nan", "nan"))
    except ValueError:
        raise ConfigError(f"{where}: {text!r} is no {kind}") from None
    raise ConfigError(f"{where}: the tag {node.tag} is not allowed")
