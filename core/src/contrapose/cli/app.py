"""The frame: finds the command's file, handles the options that all share, and turns errors into one line."""

from __future__ import annotations

import importlib
import inspect
import os
import pkgutil
import sys
import typing
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

import contrapose.cli as package
from contrapose.cli import common
from contrapose.config.config import Config
from contrapose.errors import ConfigError, ContraposeError, ContraposeWarning, PluginError, did_you_mean

ORDER = (
    "init",
    "views",
    "train",
    "evaluate",
    "report",
    "search",
    "embed",
    "pack",
    "doctor",
    "plugins",
    "show",
    "methods",
)
"""The commands in the order of a day's work; others follow by name."""

_PANEL = "Plugins"
_SHARED: dict[str, Any] = {
    "plugin": Annotated[
        list[Path] | None,
        typer.Option(help="Also run this Python file and offer what it defines.", rich_help_panel=_PANEL),
    ],
    "allow_plugin": Annotated[
        list[str] | None, typer.Option(help="Load these plugins only.", metavar="NAME", rich_help_panel=_PANEL)
    ],
    "deny_plugin": Annotated[
        list[str] | None, typer.Option(help="Don't load this plugin.", metavar="NAME", rich_help_panel=_PANEL)
    ],
    "allow_import": Annotated[
        bool, typer.Option("--allow-import", help="Let a config name code as module:attr.", rich_help_panel=_PANEL)
    ],
    "debug": Annotated[bool, typer.Option("--debug", help="Show an error's traceback.", rich_help_panel=_PANEL)],
}


class Commands(TyperGroup):
    """A group whose commands are the files of this folder, imported when asked for, and then those of plugins."""

    def list_commands(self, ctx: Any) -> list[str]:
        """All names, ours first."""
        ours = _names()
        return ours + [name for name in _from_plugins() if name not in ours]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command, or None where there isn't one. Plugins are asked only for a name that isn't ours."""
        if cmd_name not in _names():
            found = _from_plugins().get(cmd_name, [])
            if len(found) > 1:
                who = " and ".join(distribution for distribution, _ in found)
                raise PluginError(f"the command {cmd_name!r} is of {who}: set CONTRAPOSE_PLUGINS_DENY to one of them")
            return found[0][1] if found else None
        name = cmd_name.replace("-", "_")
        module = importlib.import_module(f"contrapose.cli.{name}")
        cli = _typer()
        cli.command(cmd_name)(_with_shared_options(getattr(module, name)))
        return typer.main.get_command(cli)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """As typer's, with our did-you-mean."""
        if self.get_command(ctx, args[0]) is None and not args[0].startswith("-"):
            ctx.fail(f"there is no command {args[0]!r}{did_you_mean(args[0], self.list_commands(ctx))}")
        return super().resolve_command(ctx, args)


def _names() -> list[str]:
    files = (m.name.replace("_", "-") for m in pkgutil.iter_modules(package.__path__) if not m.name.startswith("_"))
    found = set(files) - {"app", "common"}
    return [n for n in ORDER if n in found] + sorted(found - set(ORDER))


def _from_plugins() -> dict[str, list[tuple[str, Any]]]:
    from contrapose.plugins import registry

    return registry().manager.commands(_made_by)


def _made_by(register: Callable[..., Any]) -> dict[str, Any]:
    """The commands that one plugin adds to a command line of its own."""
    cli = _typer()
    cli.callback()(lambda: None)  # keeps it a group, even of one command
    register(cli)
    for info in cli.registered_commands:
        assert info.callback is not None
        info.callback = _with_shared_options(info.callback)
    return dict(typer.main.get_group(cli).commands)


def _typer() -> typer.Typer:
    # Without rich's markup: importing rich takes longer than everything else that --help does.
    return typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


def _with_shared_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """``function`` behind the options of every command, which settle what the registry offers before it runs."""
    own = inspect.signature(function)
    hints = typing.get_type_hints(function, include_extras=True)

    def run(**arguments: Any) -> Any:
        shared = {name: arguments.pop(name) for name in _SHARED}
        _settle(**shared)
        return function(**arguments)

    keyword = inspect.Parameter.KEYWORD_ONLY
    parameters = [p.replace(kind=keyword, annotation=hints.get(p.name, p.annotation)) for p in own.parameters.values()]
    parameters += [
        inspect.Parameter(n, keyword, annotation=h, default=False if typing.get_args(h)[0] is bool else None)
        for n, h in _SHARED.items()
    ]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in parameters}
    run.__doc__, run.__name__ = function.__doc__, function.__name__
    return run


def _settle(
    plugin: list[Path] | None,
    allow_plugin: list[str] | None,
    deny_plugin: list[str] | None,
    allow_import: bool,
    debug: bool,
) -> None:
    from contrapose.plugins import configure

    common.current.debug |= debug
    reg = configure(allow_plugin or (), deny_plugin or (), allow_import)
    for file in plugin or ():
        reg.load_file(file)


app = typer.Typer(
    cls=Commands,
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        typer.echo(f"contrapose {version('contrapose')}")
        raise typer.Exit


@app.callback()
def contrapose(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Contrastive pretraining of any modality, and across modalities."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code: 0, 1 for an error that is the user's to mend, 2 for wrong usage."""
    warnings.showwarning = _show_warning
    warnings.simplefilter("once", ContraposeWarning)
    common.current = common.Invocation(debug=os.environ.get("CONTRAPOSE_DEBUG", "0") not in ("", "0"))
    try:
        app(None if arguments is None else list(arguments), prog_name="contrapose")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except ContraposeError as error:
        if common.current.debug:
            raise
        print(f"error: {message(error)}", file=sys.stderr)
        return 1
    return 0


_show_others = warnings.showwarning


def _show_warning(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
    if issubclass(category, ContraposeWarning):
        print(f"warning: {plain(str(message))}", file=sys.stderr)
    else:
        _show_others(message, category, *where, **more)


def message(error: ContraposeError) -> str:
    """An error in one line, with file, line and key where they are known."""
    text = str(error)
    if isinstance(error, ConfigError) and error.path:
        text = (common.current.config or Config({})).locate(error)
    return plain(text)


def plain(text: str) -> str:
    """Text in one line, without what would steer a terminal: a stranger's config or file may be quoted in it."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in " ".join(text.split()))
