"""contrapose schema: what the columns of a table would be taken for."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def schema(
    data: Annotated[
        Path, typer.Argument(help="A Parquet, CSV, TSV or JSONL table, or a packed folder.", metavar="DATA")
    ],
    yaml: Annotated[bool, typer.Option("--yaml", help="Print what to paste into a config instead.")] = False,
) -> None:
    """Show what each column of a table would be taken for, and why."""
    from contrapose.config.yaml import dump
    from contrapose_tabular.profile import infer_schema

    found = infer_schema(_table(data))
    if yaml:
        said = {"columns": found.used, **({"types": found.types} if found.types else {})}
        others = {c.modality: c.name for c in found.columns if c.modality}
        typer.echo(dump({"modalities": {"tabular": said, **others}}), nl=False)
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for header, justify in {"column": "left", "kind": "left", "distinct": "right", "missing": "right"}.items():
        table.add_column(header, justify=justify, overflow="fold")  # type: ignore[arg-type]
    table.add_column("values", overflow="fold")
    table.add_column("why", overflow="fold")
    for c in found.columns:
        cells = (c.name, c.type, f"{c.distinct:,}", f"{100 * c.missing:.3g} %", c.shows, c.why)
        table.add_row(*(Text(_plain(cell)) for cell in cells))
    console = Console()
    console.print(table)
    console.print(
        f"\n{found.rows:,} rows; {len(found.used)} of {len(found.columns)} columns to learn from. "
        "Say otherwise under types; --yaml prints what to paste.",
        highlight=False,
    )


def _table(data: Path):  # type: ignore[no-untyped-def]
    from contrapose.data.cache import arrow_file
    from contrapose.data.formats import FORMATS
    from contrapose.data.packed import is_packed, packed_table
    from contrapose.data.table import map_table
    from contrapose.errors import DataError

    if data.is_dir() and is_packed(data):
        return packed_table(data)
    if data.is_dir():
        raise DataError(f"{data}: a folder is no table; one ends in {', '.join(FORMATS)}: give one of its files")
    if data.suffix.lower() not in FORMATS:
        raise DataError(f"{data}: no table; one ends in {', '.join(FORMATS)}")
    return map_table(arrow_file(data))


def _plain(text: str) -> str:
    """Without what would steer a terminal: a stranger's table may be quoted in it."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
