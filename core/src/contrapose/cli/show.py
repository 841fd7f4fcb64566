"""contrapose show: one component, with what it takes."""

from __future__ import annotations

import inspect
from typing import Annotated

import typer


def show(
    kind: Annotated[str, typer.Argument(help="view, encoder, loss, method, ...", metavar="KIND")],
    name: Annotated[str, typer.Argument(help="Such as image/simclr.", metavar="NAME")],
) -> None:
    """Show a component: its arguments with defaults, paper and documentation."""
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
    if callable(found):
        typer.echo("\narguments" if parameters(found) else "\ntakes no arguments")
        for p in parameters(found):
            default = "required" if p.default is MISSING else f"= {p.default!r}"
            typer.echo(
                "  " + " ".join(filter(None, (f"{p.name}: {p.annotation}" if p.annotation else p.name, default)))
            )
            if p.doc:
                typer.echo(f"      {p.doc}")
    if doc := inspect.getdoc(found):
        typer.echo(f"\n{doc}")
