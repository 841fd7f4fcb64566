"""The command line: one file a command.

**Adding a command** ``contrapose train`` takes one file, ``cli/train.py``, that holds one typer function of the same name::

    '''contrapose train: pretrain from a config.'''
    from typing import Annotated
    import typer
    from contrapose.cli.common import Set, open_config

    def train(config: Annotated[Path, typer.Argument(help="The YAML file.")], overrides: Set = None) -> None:
        '''Pretrain encoders from a config.'''            # the first line is the help in `contrapose --help`
        from contrapose.engine.run import train as run    # torch only in here: the module itself stays light

        run(open_config(config, overrides))

Nothing needs registering: file names are the commands (``new_plugin.py`` is ``new-plugin``; ``app``, ``common`` and ``_*`` are
none). Every command also takes ``--plugin FILE``, ``--allow-plugin``, ``--deny-plugin``, ``--allow-import`` and ``--debug``,
which the frame handles before the function is called. Raise ``ContraposeError`` to end with one line on stderr and exit code 1;
don't print errors. ``open_config`` also lets the frame put ``my.yaml:12: train.lr:`` in front of a ``ConfigError`` that is raised
anywhere later with ``path=("train", "lr")``. Tests call ``main([...]) -> int``, or run ``python -m contrapose``.
"""

from __future__ import annotations

from contrapose.cli.app import main

__all__ = ["main"]
