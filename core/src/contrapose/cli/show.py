"""contrapose show: one component, with what it takes."""

from __future__ import annotations

import inspect
import textwrap
from typing import Annotated

import typer


def show(
    kind: Annotated[str, typer.Argument(help="view, encoder, loss, method, ...", metavar="KIND")],
    name: Annotated[str, typer.Argument(help="Such as simclr, or PLUGIN/NAME.", metavar="NAME")],
) -> None:
    """Show what a component takes, its paper and its documentation."""
    from contrapose.config.build import MISSING, parameters
    from contrapose.config.yaml import dump
    from contrapose.plugins import registry

    reg = registry()
    offer = reg.find(kind, name)
    spec = offer.spec
    typer.echo(f"{kind} {offer.name}{': ' + spec.summary if spec.summary else ''}")
    facts = {
        "from": offer.origin,
        "target": spec.target,
        "modality": spec.modality,
        "requires": ", ".join(spec.requires),
        "paper": spec.paper,
    }
    for label, fact in facts.items():
        if fact:
            typer.echo(f"  {label:<9}{fact}")

    found = reg.load(kind, name)
    if isinstance(found, dict):
        typer.echo("\n" + dump(found).rstrip())
        return
    takes = parameters(found) if callable(found) else []
    typer.echo("\narguments" if takes else "\nno arguments")
    for p in takes:
        default = " (required)" if p.default is MISSING else f" = {p.default!r}"
        typer.echo(f"  {p.name}{': ' + p.annotation if p.annotation else ''}{default}")
        if p.doc:
            typer.echo(textwrap.fill(p.doc, 80, initial_indent=" " * 6, subsequent_indent=" " * 6))
    if doc := inspect.getdoc(found):
        typer.echo(f"\n{doc.partition('Args:')[0].rstrip()}")
