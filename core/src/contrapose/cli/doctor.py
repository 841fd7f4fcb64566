"""contrapose doctor: is all here that a run needs."""

from __future__ import annotations

import dataclasses
import json
from typing import Annotated

import typer

COLOURS = {"ok": "green", "note": "yellow", "broken": "bold red"}


def doctor(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Check the installation, and say what is missing and how to get it."""
    from contrapose.start.checks import checks

    if as_json:
        found = list(checks())
        typer.echo(json.dumps([dataclasses.asdict(check) for check in found], indent=2))
    else:
        from rich.console import Console
        from rich.text import Text

        console = Console(highlight=False, soft_wrap=True)
        found = []
        for check in checks():
            found.append(check)
            line = Text.assemble((f"{check.state:<7}", COLOURS[check.state]), f"{check.name:<22} {check.said}")
            console.print(line)
            if check.mend:
                console.print(Text(f"{'':<30}-> {check.mend}"))
        broken = sum(check.state == "broken" for check in found)
        console.print(f"{broken} broken" if broken else "all that is needed is here")
    if any(check.state == "broken" for check in found):
        raise typer.Exit(1)
