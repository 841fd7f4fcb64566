"""contrapose methods: the presets."""

from __future__ import annotations


def methods() -> None:
    """List the method presets."""
    from rich.console import Console
    from rich.table import Table

    from contrapose.plugins import registry

    table = Table("method", "summary", "paper", box=None, pad_edge=False, header_style="bold")
    for offer in registry().offers("method"):
        table.add_row(offer.name, offer.spec.summary, offer.spec.paper or "")
    Console().print(table)
