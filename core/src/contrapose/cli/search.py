"""contrapose search: what of some data is nearest to words, a file, values or a row, whatever modality either is of."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from contrapose.evaluate.search import Found
    from contrapose.report.search import Thing


def search(
    run: Annotated[Path, typer.Argument(help="The run folder.", metavar="RUN")],
    data: Annotated[
        str | None,
        typer.Argument(
            help="A manifest, a folder, or a split of the run's data; by default its test split.", metavar="DATA"
        ),
    ] = None,
    query: Annotated[
        list[str] | None,
        typer.Option(
            "--query",
            help="MODALITY=words or a path, MODALITY={column: value, ...}, or row=ID. Of several, the mean is searched for.",
            metavar="KEY=VALUE",
        ),
    ] = None,
    to: Annotated[
        list[str] | None,
        typer.Option(
            help="Search this modality; may be repeated. By default all others than the query's, by their mean cosine.",
            metavar="MODALITY",
        ),
    ] = None,
    from_: Annotated[
        list[str] | None,
        typer.Option("--from", help="By which modality a row asks; by default all that it has.", metavar="MODALITY"),
    ] = None,
    k: Annotated[int, typer.Option("-k", help="How many things.", min=1)] = 8,
    output: Annotated[Path, typer.Option("-o", "--output", help="The picture to write.")] = Path("search.png"),
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Search data by words, files, values or rows.

    Finds what is nearest in the space of the loss, in any modality, and draws it.

    \b
    contrapose search RUN data.parquet --query text="wooden chair"
    contrapose search RUN photos/ --query photo=mine.png --query text=wooden
    contrapose search RUN test --query row=17 --from photo --to text
    contrapose search RUN --query 'table={width: 60, height: 45}' -k 20
    """
    from rich.console import Console
    from rich.text import Text

    from contrapose.engine.run import load
    from contrapose.evaluate.query import parse_query
    from contrapose.evaluate.search import gallery
    from contrapose.evaluate.search import search as find
    from contrapose.report.search import search_sheet, things_found

    loaded = load(run)
    asked = parse_query(query or [], loaded.parts.columns)
    reader = gallery(loaded, data)
    with Console(stderr=True).status(f"embedding {len(reader):,} rows"):
        found = find(loaded, reader, asked, to or (), k, from_ or ())
        thing, things = things_found(loaded, found)
        search_sheet(found, thing, things, output)
    if as_json:
        typer.echo(json.dumps(_as_dict(found, things, output)))
        return
    console = Console(highlight=False)
    console.print(_table(found, things))
    console.print(f"\n{' + '.join(found.query.data)} → {', '.join(found.to)}, among {found.things:,}", soft_wrap=True)
    for row, modality, why in found.skipped[:10]:
        console.print(Text(f"skipped: row {row}, {modality}: {why}"), soft_wrap=True)
    if len(found.skipped) > 10:
        console.print(f"skipped: {len(found.skipped) - 10:,} more")
    console.print(f"picture   {output}", soft_wrap=True)


def _table(found: Found, things: list[Thing]) -> Table:
    from rich.table import Table
    from rich.text import Text

    rows = [
        (str(rank), f"{hit.id}{' (its own)' if hit.own else ''}", f"{hit.cosine:.3f}", thing.label, thing.words())
        for rank, (hit, thing) in enumerate(zip(found.hits, things, strict=True), 1)
    ]
    heads = {c: head for c, head in enumerate(("", "row", "cosine", "label", "in words")) if any(r[c] for r in rows)}
    table = Table(box=None, pad_edge=False, header_style="bold")
    for head in heads.values():
        table.add_column(head, no_wrap=head != "in words")  # the column that gives way in a narrow terminal
    for row, hit in zip(rows, found.hits, strict=True):
        cells = (Text(row[c], no_wrap=True, overflow="ellipsis") for c in heads)
        table.add_row(*cells, style="green" if hit.own else None)
    return table


def _as_dict(found: Found, things: list[Thing], output: Path) -> dict[str, Any]:
    hits = zip(found.hits, things, strict=True)
    return {
        "query": list(found.query.data),
        "to": found.to,
        "things": found.things,
        "hits": [{"row": h.id, "cosine": h.cosine, "by": h.by, "own": h.own, "label": t.label} for h, t in hits],
        "skipped": [{"row": row, "modality": modality, "why": why} for row, modality, why in found.skipped],
        "picture": str(output),
    }
