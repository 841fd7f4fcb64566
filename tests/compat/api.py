"""The public surface of plugin API 1, as lines of text: ``python -m tests.compat.api --write`` writes them to ``api_1.txt``.

What is listed is what docs/compatibility.md freezes. A line that goes or changes breaks plugins; one that joins doesn't.
"""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import re
import sys
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import contrapose
from contrapose.plugins import API, KINDS, Offer, hookspecs
from contrapose.plugins.spec import GROUP

FILE = Path(__file__).with_name(f"api_{API}.txt")

CALLS = ("__call__", "__len__", "__getitem__")
TYPES = "Sample View ViewBatch Batch Rows Pairs Suggestion Modality ViewGenerator Reader Encoder"
APART = "StreamReader Raw Region Listed"
"""Classes of `contrapose.types` that aren't frozen, as docs/compatibility.md says."""
BASES = {
    "contrapose.types": TYPES,
    "contrapose.views.mix": "BatchMixer",
    "contrapose.losses.pair": "PairLoss",
    "contrapose.losses.sets": "SetLoss",
    "contrapose.losses.head": "HeadLoss Step",
    "contrapose.sources.base": "Source Step",
    "contrapose.relations.relation": "Assigner Annotator Weigher Soft Step",
    "contrapose.engine.loggers": "Logger",
    "contrapose.evaluate.scores": "Embedded Table Score",
    "contrapose.data.cells": "NamedBytes read_bytes cell_path cell_name",
    "contrapose.errors": "ContraposeError ConfigError PluginError DataError CheckpointError warn did_you_mean",
}
"""What components are made of, beyond the names that contrapose exports itself."""


def surface() -> Iterator[str]:
    """Every line of the frozen contract."""
    yield f"# The frozen contract of plugin API {API}: written by `python -m tests.compat.api --write`, held by test_api.py."
    yield ""
    yield "# hooks"
    for name, hook in sorted(vars(hookspecs).items()):
        if (options := getattr(hook, f"{GROUP}_spec", None)) is not None:
            first = " first result" if options["firstresult"] else ""
            yield f"hook {name}{inspect.signature(hook)}{first}"
    yield from (f"kind {kind}: {hook}" for kind, hook in KINDS.items())
    yield ""
    yield "# contrapose"
    for name in sorted(set(contrapose.__all__) - {"__version__"}):
        yield from described(f"contrapose.{name}", getattr(contrapose, name))
    yield from described("contrapose.plugins.Offer", Offer)
    for module, names in BASES.items():
        yield ""
        yield f"# {module}"
        for name in names.split():
            yield from described(f"{module}.{name}", getattr(importlib.import_module(module), name))
    yield ""
    yield "# contrapose.testing"
    import contrapose.testing as kit

    for name in sorted(kit.__all__):
        yield from described(f"contrapose.testing.{name}", getattr(kit, name), "test_")


def described(path: str, found: Any, without: str = "_") -> Iterator[str]:
    """A function's signature; a class's fields or arguments, and its public members, those that it inherits from ours too."""
    if not isinstance(found, type):
        ours = found.__module__.startswith("contrapose")
        yield f"{path}{inspect.signature(found)}" if ours else path
        return
    fields = dataclasses.is_dataclass(found)
    if fields:
        for field in dataclasses.fields(found):
            yield f"{path}.{field.name}: {field.type}{_default(field)}"
    elif "__init__" in vars(found) and not getattr(found, "_is_protocol", False):
        yield f"{path}{inspect.signature(found)}"
    else:
        yield f"class {path}"
    seen: set[str] = set()
    for base in (base for base in found.__mro__ if base.__module__.startswith("contrapose")):
        annotations = {} if fields else inspect.get_annotations(base)
        members = {**dict.fromkeys(annotations), **vars(base)}
        for name in [name for name in members if name not in seen]:
            seen.add(name)
            line = _member(path, name, members[name], annotations.get(name))
            if line and (not name.startswith(("_", without, "pytest_")) or name in CALLS):
                yield line
    optional = (found.__doc__ or "").partition("Optional")[2].partition("\n\n")[0]
    yield from (f"{path} optional: {name}" for name in re.findall(r"``([a-z_]+(?:\(.*?)?)``", optional))


def _member(path: str, name: str, member: Any, hint: Any) -> str:
    if hint is not None:
        return f"{path}.{name}: {hint}"
    if isinstance(member, (property, cached_property)):
        return f"{path}.{name} (property)"
    member = member.__func__ if isinstance(member, (classmethod, staticmethod)) else member
    return f"{path}.{name}{inspect.signature(member)}" if inspect.isfunction(member) else ""


def _default(field: dataclasses.Field[Any]) -> str:
    if field.default is not dataclasses.MISSING:
        return f" = {field.default!r}"
    return " = ..." if field.default_factory is not dataclasses.MISSING else ""


if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        FILE.write_text("\n".join(surface()) + "\n", encoding="utf-8")
    else:
        print(*surface(), sep="\n")
