"""contrapose train: pretrain from a config."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from contrapose.cli.common import Set, open_config

UNREADABLE = 3
"""The exit status of a training that is done, of which too much couldn't be read."""


def train(
    config: Annotated[Path | None, typer.Argument(help="The YAML file; may be left out with --resume.")] = None,
    set_: Set = None,
    resume: Annotated[Path | None, typer.Option(help="Go on with this run.", metavar="RUN")] = None,
    extend: Annotated[
        Path | None, typer.Option(help="Add the config's modalities to this run's towers.", metavar="RUN")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="The run folder; by default runs/<config's name>.")] = None,
) -> None:
    """Pretrain encoders as a config says.

    Ends with status 0; 3 if it is done, but more than a tenth of the samples had something unreadable; 130 or 143 if
    Ctrl-C or SIGTERM stopped it, with a checkpoint saved; 1 for an error.
    """
    from contrapose.engine.run import train as pretrain
    from contrapose.engine.stop import Interrupted
    from contrapose.errors import ConfigError

    if config is None and resume is None:
        raise ConfigError("give a config to train by, or --resume RUN")
    opened = open_config(config, set_) if config is not None else None
    try:
        run = pretrain(opened, set=() if opened else set_ or (), resume=resume, extend=extend, out=out)
    except Interrupted as stop:
        typer.echo(str(stop), err=True)
        raise typer.Exit(stop.exit_code) from None
    if run.unread.many:
        raise typer.Exit(UNREADABLE)
