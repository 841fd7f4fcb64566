"""What may go wrong with one sample, and what must stop a run."""

from __future__ import annotations

from contrapose.errors import ConfigError, ContraposeError, DataError, PluginError


def raise_if_fatal(error: Exception, what: str) -> None:
    """Raise what no sample would escape: a missing package, a wrong config, no memory. All else is the sample's own."""
    if isinstance(error, ImportError):
        raise PluginError(f"{what}: {one_line(error)}; install the package that it needs") from error
    if isinstance(error, (MemoryError, ConfigError)) or (
        isinstance(error, ContraposeError) and not isinstance(error, DataError)
    ):
        raise error


def one_line(error: BaseException) -> str:
    """An error as one line for a table: its kind, unless its message is meant for people, and its message."""
    message = " ".join(str(error).split())[:300]
    return message if isinstance(error, ContraposeError) else f"{type(error).__name__}: {message}".rstrip(": ")
