"""contrapose new-plugin: a package of one's own to begin with."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer


def new_plugin(
    name: Annotated[str, typer.Argument(help="The distribution's name, such as acme-thermal.", metavar="NAME")],
    modality: Annotated[
        str | None,
        typer.Option(
            help="What it reads, and the prefix of all that it offers; by default the last word of NAME.",
            metavar="NAME",
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="The folder to write; by default NAME, here.")
    ] = None,
) -> None:
    """Write a plugin to begin with: it can be installed, tested and trained with at once."""
    from contrapose.scaffold.new import Names
    from contrapose.scaffold.new import new_plugin as write

    names = Names.of(name, modality)
    where = output or Path(names.distribution)
    count = write(names, where)
    typer.echo(f"wrote {where}, {count} files that offer {names.modality}/... Next:")
    typer.echo(f"  cd {shlex.quote(str(where))} && pip install -e '.[test]'")
    typer.echo("  pytest")
    typer.echo("  contrapose train example.yaml")
