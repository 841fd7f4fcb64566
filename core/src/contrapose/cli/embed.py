"""contrapose embed: a run's embeddings of any manifest, as a Parquet table."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Head(StrEnum):
    """Which embeddings."""

    projected = "projected"
    pooled = "pooled"


def embed(
    run: Annotated[Path, typer.Argument(help="The run folder.", metavar="RUN")],
    data: Annotated[Path, typer.Argument(help="A manifest with the run's columns, or some of them.", metavar="DATA")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The Parquet file to write.")] = Path(
        "embeddings.parquet"
    ),
    head: Annotated[Head, typer.Option(help="The space of the loss, or the encoder's own features.")] = Head.pooled,
    batch_size: Annotated[int, typer.Option(help="Rows at a time.", min=1)] = 256,
) -> None:
    """Embed a manifest: a column of vectors per modality beside its own plain columns."""
    from contrapose.engine.run import load
    from contrapose.report.embeddings import write_embeddings

    written = write_embeddings(load(run), data, output, head.value, batch_size)
    for modality, count in written.counts.items():
        typer.echo(f"z_{modality:<14} {count:,} of {written.rows:,} rows, {written.sizes[modality]} numbers each")
    for line in written.skipped[:10]:
        typer.echo(f"skipped: {line}")
    if len(written.skipped) > 10:
        typer.echo(f"skipped: {len(written.skipped) - 10:,} more")
    typer.echo(f"wrote {output}")
