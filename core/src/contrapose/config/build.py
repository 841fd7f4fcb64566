"""From a config's node to the component: found by name, its arguments checked against its signature and type hints."""

from __future__ import annotations

import inspect
import re
import sys
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import SimpleNamespace
from typing import Any

from contrapose.config.messages import explain, show
from contrapose.config.yaml import Way
from contrapose.errors import ConfigError, PluginError, did_you_mean
from contrapose.plugins import registry
from contrapose.plugins.registry import import_target

MISSING = inspect.Parameter.empty
_SIGNS = {"gt": ">", "ge": ">=", "lt": "<", "le": "<="}
_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


@dataclass(frozen=True, slots=True)
class Parameter:
    """One argument that a component takes. ``default`` is ``MISSING`` where it must be given; ``hint`` where untold."""

    name: str
    hint: Any = MISSING
    default: Any = MISSING
    doc: str = ""

    @property
    def annotation(self) -> str:
        """The type as text, ``""`` where untold."""
        if self.hint is MISSING:
            return ""
        if isinstance(self.hint, str):
            return self.hint
        holder = SimpleNamespace(__annotations__={"it": self.hint})
        base = typing.get_type_hints(holder)["it"]  # without the limits, also those of a tuple's or a union's parts
        text = re.sub(r"\b(typing|collections\.abc)\.", "", inspect.formatannotation(base))
        limits = _limits(self.hint)
        return f"{text} ({', '.join(limits)})" if limits else text


def _limits(hint: Any) -> list[str]:
    """The limits that a hint is annotated with, those of pydantic's ``Field`` too: ``[">= 0"]``."""
    notes = [limit for note in getattr(hint, "__metadata__", ()) for limit in getattr(note, "metadata", [note])]
    return [f"{sign} {getattr(note, at)}" for note in notes for at, sign in _SIGNS.items() if hasattr(note, at)]


def build(kind: str, node: Any, path: Way = (), **context: Any) -> Any:
    """The component that ``node`` says: ``"name"``, ``{"use": name, **arguments}``, or an object, which is returned as it is.

    ``context`` gives arguments that the component may take and the user didn't give (``dim=512``). A class given as an object
    is called, and so is a function under one of the decorators (``@encoder``, ``@loss``). Raises ``ConfigError`` under ``path``
    for an unknown component, an unknown, missing or ill-typed argument.
    """
    if isinstance(node, Mapping):
        arguments = dict(node)
        name = arguments.pop("use", None)
    elif isinstance(node, (str, type, bool, int, float, list, tuple)) or node is None or _makes_one(node):
        name, arguments = node, {}
    else:
        return node
    if not isinstance(name, str) and not callable(name):
        raise ConfigError(f"expected the name of a component or {{use: name, ...}}, got {show(node)}", path)
    named = (*path, "use") if isinstance(node, Mapping) else path
    target = _target(kind, name, named) if isinstance(name, str) else name
    if not callable(target):
        if arguments:
            raise ConfigError(f"the {kind} {name!r} takes no arguments, got {', '.join(arguments)}", path)
        return target
    label = name if isinstance(name, str) else getattr(name, "__name__", type(name).__name__)
    bound = bind(target, arguments, path, f"the {kind} {label!r}", context)
    try:
        return target(**bound)
    except ConfigError as error:
        raise type(error)(error.message, (*path, *error.path)) from error


def bind(
    target: Callable[..., Any],
    arguments: Mapping[str, Any],
    path: Way = (),
    label: str = "",
    context: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """``arguments`` checked against ``target``, converted to its types (lists to tuples), and completed from ``context``.

    Raises ``ConfigError`` as ``build`` does; ``label`` names the component in messages.
    """
    label = label or getattr(target, "__name__", type(target).__name__)
    known = {p.name: p for p in parameters(target)}
    bound = {}
    for name, value in arguments.items():
        if name not in known:
            hint = did_you_mean(name, known) if known else "; it takes none"
            raise ConfigError(f"{label} has no argument {name!r}{hint}", (*path, name))
        bound[name] = check(value, known[name].hint, (*path, name))
    bound |= {name: value for name, value in (context or {}).items() if name in known and name not in bound}
    for name, parameter in known.items():
        if parameter.default is MISSING and name not in bound:
            raise ConfigError(f"{label} needs {name!r}", path)
    return bound


def check(value: Any, hint: Any, path: Way = ()) -> Any:
    """``value`` as the type ``hint`` says, or a ``ConfigError``. A hint that can't be resolved checks nothing."""
    adapter = _adapter(hint)
    if adapter is None:
        return value
    from pydantic import ValidationError

    try:
        made = adapter.validate_python(value)
        return adapter.validate_python(value, strict=True) if _reread(value, made) else made
    except ValidationError as error:
        message, way = explain(error, value)
        raise ConfigError(message, (*path, *way)) from None


def parameters(target: Callable[..., Any]) -> list[Parameter]:
    """The named parameters of a function, a class (its ``__init__``), or an object with a signature; ``**kwargs`` is none."""
    try:
        found = inspect.signature(target).parameters.values()
    except (TypeError, ValueError):
        return []
    docs = _argument_docs(target)
    return [
        Parameter(p.name, _resolve(p.annotation, target), p.default, docs.get(p.name, ""))
        for p in found
        if p.kind in _NAMED
    ]


def signature(kind: str, name: str) -> list[Parameter]:
    """What a registered component takes; empty for one that is data. Raises ``PluginError`` for an unknown name."""
    target = registry().load(kind, name)
    return parameters(target) if callable(target) else []


def _makes_one(node: Any) -> bool:
    return inspect.isfunction(node) and hasattr(node, "__contrapose__")


def _target(kind: str, name: str, path: Way) -> Any:
    reg = registry()
    try:
        if ":" not in name:
            return reg.load(kind, name)
        if not reg.allow_import:
            raise ConfigError(f"{name!r} names code, which a config may run only with --allow-import", path)
        return import_target(name)
    except (PluginError, ImportError, AttributeError) as error:
        raise ConfigError(str(error), path) from error


def _resolve(annotation: Any, target: Any) -> Any:
    """An annotation written as text (``from __future__ import annotations``) as a type; as it stands where it can't be found."""
    if not isinstance(annotation, str):
        return annotation
    holder = SimpleNamespace(__annotations__={"it": annotation})
    for names in _namespaces(target):
        try:
            return typing.get_type_hints(holder, names, include_extras=True)["it"]
        except Exception:  # a name that only a type checker sees, or anything else that evaluating text can do
            continue
    return annotation


def _namespaces(target: Any) -> Iterator[dict[str, Any]]:
    """Where the names of a target's annotations may be known: a dataclass has fields of classes of other modules."""
    function = inspect.unwrap(target.__init__ if isinstance(target, type) else target)  # type: ignore[misc]
    if hasattr(function, "__globals__"):
        yield function.__globals__
    for owner in target.__mro__ if isinstance(target, type) else (target,):
        yield getattr(sys.modules.get(getattr(owner, "__module__", None) or ""), "__dict__", {})


@lru_cache(maxsize=512)
def _cached_adapter(hint: Any) -> Any:
    from pydantic import ConfigDict, PydanticUserError, TypeAdapter
    from pydantic.errors import PydanticSchemaGenerationError

    try:
        try:
            return TypeAdapter(hint, config=ConfigDict(arbitrary_types_allowed=True))
        except PydanticUserError:
            return TypeAdapter(hint)
    except (PydanticUserError, PydanticSchemaGenerationError, NameError, TypeError):
        return None


def _adapter(hint: Any) -> Any:
    if hint is MISSING or hint is Any or isinstance(hint, str):
        return None
    try:
        return _cached_adapter(hint)
    except TypeError:  # an unhashable hint
        return _cached_adapter.__wrapped__(hint)


def _reread(value: Any, made: Any) -> bool:
    """Whether pydantic read a number out of text or a truth value, or a truth value out of a number: a slip, not a meaning."""
    if isinstance(made, bool) or isinstance(value, bool):
        return type(made) is not type(value)
    return isinstance(value, str) and isinstance(made, (int, float))


def _argument_docs(target: Any) -> dict[str, str]:
    """What a docstring's ``Args:`` section says of each argument."""
    section = (inspect.getdoc(target) or "").partition("Args:\n")[2].partition("\n\n")[0]
    entries = re.findall(r"^    (\w+)(?: \(.*?\))?: (.+(?:\n {5,}.+)*)", section, re.M)
    return {name: " ".join(text.split()) for name, text in entries}
