"""contrapose methods: the presets, and what each is."""

from __future__ import annotations


def methods() -> None:
    """List the methods by how their two sides learn, with who is positive, who negative, and the loss."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from contrapose.methods.describe import QUADRANTS, described
    from contrapose.plugins import registry

    found = [(offer, described(offer)) for offer in registry().offers("method")]
    console = Console()
    for pattern in (*QUADRANTS, None):
        rows = [(offer, facts) for offer, facts in found if (facts.quadrant if facts else None) == pattern]
        if not rows:
            continue
        console.print(Text(f"\n{pattern or 'others'}\n", "bold underline"))
        table = Table(
            "method", "positives", "negatives", "loss", "paper", box=None, pad_edge=False, header_style="bold"
        )
        for offer, facts in rows:
            said = ["\n".join(part) for part in (facts.positives, facts.negatives, facts.loss)] if facts else [""] * 3
            name = Text.assemble((offer.name, "bold"), "\n", (offer.spec.summary, "dim"))
            table.add_row(name, *(Text(part) for part in said), Text(offer.spec.paper or ""))
        console.print(table)
