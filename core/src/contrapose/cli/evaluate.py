"""contrapose evaluate: what a run learnt, in numbers and pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def evaluate(
    run: Annotated[Path, typer.Argument(help="The run folder.", metavar="RUN")],
    split: Annotated[str, typer.Option(help="The part of the data to score.")] = "test",
    baseline: Annotated[bool, typer.Option(help="Also score the untrained network, and the paired difference.")] = True,
    pictures: Annotated[bool, typer.Option(help="Also draw the loss, the embeddings and what is retrieved.")] = True,
    seed: Annotated[int, typer.Option(help="Fixes folds, bootstrap and which queries are drawn.", min=0)] = 0,
) -> None:
    """Measure a run: retrieval, kNN, linear probe and SVM, geometry."""
    from rich.console import Console

    from contrapose.engine.run import load
    from contrapose.evaluate import evaluate as measure
    from contrapose.report.pictures import picture_run

    loaded = load(run)
    evaluation = measure(loaded, split, baseline, seed)
    console = Console(highlight=False)
    console.print(evaluation)
    console.print(f"\nnumbers   {run / 'evaluation.json'}", soft_wrap=True)
    if pictures:
        for path in picture_run(loaded, evaluation.embedded):
            console.print(f"picture   {path}", soft_wrap=True)
