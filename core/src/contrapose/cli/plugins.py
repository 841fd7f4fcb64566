"""contrapose plugins: what is installed, whether it works, and what it offers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from contrapose.plugins.registry import clash

if TYPE_CHECKING:
    from contrapose.plugins import Offer, PluginStatus


def plugins(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """List the installed plugins and what each offers."""
    from contrapose.plugins import registry

    found, clashes = registry().plugins(), registry().clashes()
    if as_json:
        typer.echo(json.dumps([_as_dict(p, clashes) for p in found], indent=2))
        return

    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table("plugin", "status", "offers", box=None, pad_edge=False, header_style="bold")
    for p in found:
        colour = "green" if p.status == "ok" else "red" if p.status.startswith("broken") else "yellow"
        offers = "\n".join(f"[dim]{kind}[/] {', '.join(names)}" for kind, names in _by_kind(p).items())
        status = Text.assemble((p.status, colour), *((f"\n{note}", "yellow") for note in _notes(p, clashes)))
        table.add_row(f"{p.distribution}\n[dim]{p.version}[/]", status, offers)
    Console().print(table)


def _by_kind(plugin: PluginStatus) -> dict[str, list[str]]:
    kinds: dict[str, list[str]] = {}
    for offer in plugin.offers:
        kinds.setdefault(offer.kind, []).append(offer.name)
    return kinds


def _notes(plugin: PluginStatus, clashes: list[list[Offer]]) -> list[str]:
    """What is worth knowing of a plugin that works, the names that others offer too among it."""
    shared = [offers for offers in clashes if any(offer in plugin.offers for offer in offers)]
    return [*plugin.notes, *(f"{clash(offers)}: an error once it is used" for offers in shared)]


def _as_dict(plugin: PluginStatus, clashes: list[list[Offer]]) -> dict[str, Any]:
    return {
        "distribution": plugin.distribution,
        "version": plugin.version,
        "prefix": plugin.prefix,
        "status": plugin.status,
        "notes": _notes(plugin, clashes),
        "offers": _by_kind(plugin),
    }
