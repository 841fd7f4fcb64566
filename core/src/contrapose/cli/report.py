"""contrapose report: a run as one HTML file to look at, keep and send."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def report(
    run: Annotated[Path, typer.Argument(help="The run folder.", metavar="RUN")],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="The file to write; by default RUN/report.html.")
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="The part of the data to show; by default what was evaluated, else test.")
    ] = None,
    baseline: Annotated[
        bool, typer.Option(help="Where the run must be evaluated first: score the untrained network too.")
    ] = True,
    points: Annotated[int, typer.Option(help="The most samples in a map, each with its previews.", min=1)] = 400,
    seed: Annotated[int, typer.Option(help="Which samples and queries are drawn.", min=0)] = 0,
) -> None:
    """Write a run's report: curves, health, numbers, embedding maps, neighbours, config."""
    from contrapose.engine.run import load
    from contrapose.report.html import write_report

    path = write_report(load(run), output, split=split, baseline=baseline, points=points, seed=seed, tell=typer.echo)
    typer.echo(f"wrote {path} ({path.stat().st_size / 1e6:.1f} MB)")
