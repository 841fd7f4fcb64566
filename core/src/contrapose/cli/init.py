"""contrapose init: from data of one's own to a config."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import Annotated

import typer


def init(
    path: Annotated[Path, typer.Argument(help="A folder of files, or a table (Parquet, CSV, JSONL).", metavar="PATH")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The config to write.")] = Path("contrapose.yaml"),
    force: Annotated[bool, typer.Option("--force", help="Write over a config that is there.")] = False,
) -> None:
    """Look at your data and write a config to begin with."""
    from contrapose.errors import ConfigError
    from contrapose.start.draft import Machine, draft
    from contrapose.start.look import look

    if output.exists() and not force:
        raise ConfigError(f"{output} is there already; give another name with -o, or --force to write over it")
    machine = Machine.here()
    found = look(path, small=not machine.gpu)
    text = draft(found, os.path.relpath(found.path, output.parent).replace(os.sep, "/"), machine)
    try:
        output.write_text(text, "utf-8")
    except OSError as error:
        raise ConfigError(f"can't write {output}: {error.strerror}") from None

    typer.echo(f"found {found.things:,} things in {found.path}")
    for name, claim in found.modalities.items():
        where = f"in the column{'s' * (len(claim.columns) > 1)}" if found.kind == "table" else "files in"
        typer.echo(f"  {name:<12} {int(claim.has.sum()):,} {where} {', '.join(claim.columns)}")
    for role, column in {**found.meta, "split": found.split.get("column")}.items():
        if column is not None:
            typer.echo(f"  {role:<12} the column {column}" if found.kind == "table" else f"  {role:<12} by {column}")
    for note in found.notes:
        typer.echo(f"note: {note}")
    config = shlex.quote(str(output))
    beside = (
        " -o " + shlex.quote(os.path.relpath(found.path.resolve().parent / "views.png")) if _among(found.path) else ""
    )
    typer.echo(f"wrote {output}, {found.train:,} things to train on. Next:")
    typer.echo(f"  contrapose views {config}{beside}")
    typer.echo(f"  contrapose train {config}")
    typer.echo(f"  contrapose report {shlex.quote(f'runs/{output.stem}')}")


def _among(data: Path) -> bool:
    """Whether what is written here would lie among the data."""
    return data.is_dir() and Path.cwd().is_relative_to(data.resolve())
