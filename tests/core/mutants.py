"""Deliberately broken components: what each breaks is one clause of its contract, and that clause alone must catch it."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest


@dataclass(frozen=True)
class Mutant:
    """A contract class of a good component, the clause that the change to it breaks, and the change: attributes of that class.

    ``plugin`` is what is other in the plugin that is installed for it (`acme.install`); None where none is.
    """

    contract: type
    clause: str
    changes: dict[str, Any] = field(default_factory=dict)
    plugin: dict[str, str] | None = None


def clauses(contract: type) -> list[str]:
    """The checks of a contract."""
    return [name for name in dir(contract) if name.startswith("test_")]


def failures(contract: type, changes: dict[str, Any]) -> dict[str, str]:
    """The clauses that a component fails, each with what it says, as pytest would run them."""
    found = {}
    for clause in clauses(contract):
        it = type("TestIt", (contract,), {**changes, "__module__": contract.__module__})()
        with tempfile.TemporaryDirectory() as folder:
            it.folder = Path(folder)
            try:
                getattr(it, clause)()
            except pytest.skip.Exception:
                continue
            except (Exception, pytest.fail.Exception) as error:
                found[clause] = f"{type(error).__name__}: {error}"
    return found


def named(module: dict[str, Any], name: str, component: Any) -> Any:
    """The component as a class of that module, so that other processes find it there."""
    if isinstance(component, type):
        component.__name__ = component.__qualname__ = name
        component.__module__ = module["__name__"]
        module[name] = component
    return component


def table(module: dict[str, Any], by: dict[type, dict[str, Any]]) -> list[Mutant]:
    """A mutant for each ``{contract: {clause: component, or changes}}``; the components become classes of ``module``."""
    made = []
    for contract, of in by.items():
        for clause, change in of.items():
            whole = isinstance(change, dict) and "component" in change
            changes = change if whole else {"component": change}
            name = f"{contract.__name__}_{clause}"
            named(module, name, changes.get("component"))
            made.append(Mutant(contract, clause, changes))
    return made
