"""What commands share."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from contrapose.config import Config

Set = Annotated[list[str] | None, typer.Option("--set", help="Override a value: train.lr=3e-4.", metavar="KEY=VALUE")]
"""The option ``--set KEY=VALUE``, repeatable; hand it to ``open_config``."""


@dataclass
class Invocation:
    """What the frame remembers of the command that runs: the config it opened, and whether to show tracebacks."""

    config: Config | None = None
    debug: bool = False


current = Invocation()


def open_config(path: Path, overrides: Iterable[str] | None = None) -> Config:
    """Load a config so that an error raised anywhere later, with a path alone, is shown with its file and line."""
    from contrapose.config import Config

    current.config = Config.load(path, overrides or ())
    return current.config
