"""contrapose plugins: what is installed, whether it works, and what it offers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from contrapose.plugins import PluginStatus


def plugins(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """List the installed plugins and what each offers."""
    from contrapose.plugins import registry

    found = registry().plugins()
    if as_json:
        typer.echo(json.dumps([_as_dict(p) for p in found], indent=2))
        return

    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table("plugin", "status", "offers", box=None, pad_edge=False, header_style="bold")
    for p in found:
        colour = "green" if p.status == "ok" else "red" if p.status.startswith("broken") else "yellow"
        offers = "\n".join(f"[dim]{kind}[/] {', '.join(names)}" for kind, names in _by_kind(p).items())
        table.add_row(f"{p.distribution}\n[dim]{p.version}[/]", Text(p.status, colour), offers)
    Console().print(table)


def _by_kind(plugin: PluginStatus) -> dict[str, list[str]]:
    kinds: dict[str, list[str]] = {}
    for offer in plugin.offers:
        kinds.setdefault(offer.kind, []).append(offer.name)
    return kinds


def _as_dict(plugin: PluginStatus) -> dict[str, Any]:
    return {
        "distribution": plugin.distribution,
        "version": plugin.version,
        "prefix": plugin.prefix,
        "status": plugin.status,
        "offers": _by_kind(plugin),
    }
