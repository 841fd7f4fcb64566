"""contrapose pack: a config's data as shards that are read where they lie."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from contrapose.cli.common import Set, open_config


def pack(
    config: Annotated[Path, typer.Argument(help="The YAML file that names the data and their modalities.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The folder to write.")],
    shard_mb: Annotated[int, typer.Option(help="The size of a shard, about.", min=1)] = 512,
    set_: Set = None,
) -> None:
    """Pack a dataset, with the files that it names, into a few large files; train on it by data: FOLDER."""
    from contrapose.data.folder import FolderReader
    from contrapose.data.pack import pack as write
    from contrapose.data.several import SeveralReader
    from contrapose.data.stream import RowStream
    from contrapose.data.table import TableReader
    from contrapose.engine.build import Parts
    from contrapose.errors import ConfigError

    parts = Parts(open_config(config, set_))
    reader = parts.open(parts.run.data)
    if not isinstance(reader, TableReader | RowStream):
        if isinstance(reader, SeveralReader):
            raise ConfigError(
                "pack each of several datasets by itself, --set data=..., and name the folders", ("data",)
            )
        raise ConfigError(f"{type(reader).__name__} isn't a table, so it can't be packed", ("data",))
    done = write(reader, parts.modalities, output, shard_mb << 20)
    for line in done.missing[:10]:
        typer.echo(f"not packed: {line}")
    if len(done.missing) > 10:
        typer.echo(f"not packed: {len(done.missing) - 10:,} more")
    typer.echo(f"packed {done.rows:,} rows into {done.shards:,} shards, {done.bytes / 1e6:,.1f} MB, in {output}")
    modalities = f", and modalities: {{{', '.join(f'{m}: {m}' for m in reader.columns)}}}"
    typer.echo(f"next: data: {output}{modalities if isinstance(reader, FolderReader) else ''}")
