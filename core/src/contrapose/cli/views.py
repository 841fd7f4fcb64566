"""contrapose views: look at the views of your data before training."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from contrapose.cli.common import Set, open_config


def views(
    config: Annotated[Path, typer.Argument(help="The YAML file.", metavar="CONFIG")],
    n: Annotated[int, typer.Option("-n", help="How many samples.", min=1)] = 8,
    output: Annotated[Path, typer.Option("-o", "--output", help="The picture to write.")] = Path("views.png"),
    split: Annotated[str, typer.Option(help="The part of the data to draw samples from.")] = "train",
    seed: Annotated[int, typer.Option(help="Which samples are drawn.", min=0)] = 0,
    epoch: Annotated[int, typer.Option(help="The epoch whose views to make.", min=0)] = 0,
    set_: Set = None,
) -> None:
    """Draw samples with the views that training would make of them."""
    cfg = open_config(config, set_)

    from contrapose.engine.extend import prepared
    from contrapose.report.pictures import picture_views

    failures = picture_views(prepared(cfg), output, n, split, seed, epoch)
    for line in failures:
        typer.echo(f"failed: {line}")
    typer.echo(f"wrote {output}")
