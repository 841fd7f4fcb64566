"""contrapose embed: a run's embeddings of any data, as a Parquet table or a folder of parts."""

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
    data: Annotated[Path, typer.Argument(help="Data with the run's columns, or some of them.", metavar="DATA")],
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="A .parquet file, or a folder, which several processes can write into."),
    ] = None,
    head: Annotated[Head, typer.Option(help="The space of the loss, or the encoder's own features.")] = Head.pooled,
    batch_size: Annotated[int, typer.Option(help="Rows at a time.", min=1)] = 256,
    part_rows: Annotated[int, typer.Option(help="Rows of a part in a folder.", min=1)] = 16384,
) -> None:
    """Embed a dataset: a column of vectors per modality beside its own plain columns."""
    from contrapose.engine.device import own_process
    from contrapose.engine.run import load
    from contrapose.errors import DataError
    from contrapose.report.embeddings import write_embeddings
    from contrapose.report.parts import PartsWritten, write_parts

    rank, world = own_process()
    where = output or Path("embeddings.parquet" if world == 1 else "embeddings")
    one_file = where.suffix == ".parquet"
    if one_file and world > 1:
        raise DataError(f"{where} is one file, but {world} processes write a part each: give a folder by -o")
    try:
        if one_file:
            written = write_embeddings(load(run), data, where, head.value, batch_size)
        else:
            written = write_parts(load(run), data, where, head.value, batch_size, part_rows, rank, world)
    except KeyboardInterrupt:
        again = "" if one_file else ": the same command goes on"
        typer.echo(f"stopped; nothing in {where} is half written{again}", err=True)
        raise typer.Exit(130) from None
    who = f"process {rank + 1} of {world}: " if world > 1 else ""
    for modality, count in written.counts.items():
        typer.echo(f"{who}z_{modality:<14} {count:,} of {written.rows:,} rows, {written.sizes[modality]} numbers each")
    for line in written.skipped[:10]:
        typer.echo(f"{who}skipped: {line}")
    if len(written.skipped) > 10:
        typer.echo(f"{who}skipped: {len(written.skipped) - 10:,} more")
    if isinstance(written, PartsWritten):
        there = f", {written.kept:,} were there" if written.kept else ""
        typer.echo(f"{who}wrote {written.done:,} parts{there}; {where} has {written.total:,} when all are done")
    else:
        typer.echo(f"wrote {where}")
