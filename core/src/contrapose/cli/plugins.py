"""contrapose plugins: what is installed, whether it works, and what it offers."""

from __future__ import annotations

import json
from typing import Annotated

import typer


def plugins(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """List the installed plugins and what each offers."""
    from contrapose.plugins import PluginStatus, registry

    found = registry().plugins()
    if as_json:
        typer.echo(json.dumps([_as_dict(p) for p in found], indent=2))
        return

    from rich.console import Console
    from rich.table import Table

    def offered(plugin: PluginStatus) -> str:
        return "\n".join(f"[dim]{kind}[/] {', '.join(names)}" for kind, names in _by_kind(plugin).items())

    table = Table("plugin", "status", "offers", box=None, pad_edge=False, header_style="bold", show_lines=False)
    for p in found:
        colour = "green" if p.status == "ok" else "yellow" if p.status.startswith(("missing", "denied")) else "red"
        table.add_row(f"{p.distribution}\n[dim]{p.version}[/]", f"[{colour}]{p.status}[/]", offered(p))
    Console().print(table)


def _by_kind(plugin: object) -> dict[str, list[str]]:
    kinds: dict[str, list[str]] = {}
    for offer in plugin.offers:  # type: ignore[attr-defined]
        kinds.setdefault(offer.kind, []).append(offer.name)
    return kinds


def _as_dict(plugin: object) -> dict[str, object]:
    from contrapose.plugins import PluginStatus

    assert isinstance(plugin, PluginStatus)
    return {
        "distribution": plugin.distribution,
        "version": plugin.version,
        "prefix": plugin.prefix,
        "status": plugin.status,
        "offers": _by_kind(plugin),
    }
