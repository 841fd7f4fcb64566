"""contrapose export: a run's text encoder in the layout of another library."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Layout(StrEnum):
    """Whose."""

    sentence_transformers = "sentence-transformers"


class Head(StrEnum):
    """Which embeddings."""

    projected = "projected"
    pooled = "pooled"


def export(
    run: Annotated[Path, typer.Argument(help="The run folder.", metavar="RUN")],
    folder: Annotated[Path, typer.Argument(help="The folder to write: a new one, or an empty one.", metavar="DIR")],
    to: Annotated[Layout, typer.Option(help="The library that is to load it.")] = Layout.sentence_transformers,
    head: Annotated[Head, typer.Option(help="The space of the loss, or the encoder's own features.")] = Head.pooled,
    encoder: Annotated[str | None, typer.Option(help="Which encoder, where the run has several of texts.")] = None,
    normalize: Annotated[bool, typer.Option("--normalize", help="Give embeddings of length 1.")] = False,
) -> None:
    """Write a run's text encoder as a folder that SentenceTransformer loads.

    Its encode gives what contrapose embed --head pooled gives, or with another --head what that gives.
    """
    from contrapose.engine.run import load
    from contrapose_text.export import to_sentence_transformers

    width = to_sentence_transformers(load(run), folder, head.value, encoder, normalize=normalize)
    typer.echo(f"wrote {folder}, embeddings of {width} numbers; SentenceTransformer({str(folder)!r}) loads it")
