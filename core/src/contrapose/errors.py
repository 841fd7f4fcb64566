"""Errors meant for people: each says what was wrong, where, and what to do, in one line."""

from __future__ import annotations

import difflib
import warnings
from collections.abc import Iterable


class ContraposeError(Exception):
    """Base of every error that the command line prints as one line, without a traceback."""


class ConfigError(ContraposeError):
    """A config that can't be used.

    ``path`` is the way to the offending key (``("train", "lr")``); whoever knows the file puts its line in front.
    """

    def __init__(self, message: str, path: tuple[str | int, ...] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.path = path


class PluginError(ContraposeError):
    """A plugin or one of its components is unknown, ambiguous, broken, or lacks a package."""


class DataError(ContraposeError):
    """Data that can't be read, or that doesn't fit what the run expects."""


class Unreachable(DataError):
    """Data whose place doesn't answer: nothing is wrong with them, but there is nothing to go on with either."""


class CheckpointError(ContraposeError):
    """A run folder or checkpoint that can't be read, written, or doesn't belong to this method."""


class ContraposeWarning(UserWarning):
    """What a person should know of, and no reason to stop. The command line prints it as one line, each once."""


def warn(message: str) -> None:
    """Say ``message`` as a ``ContraposeWarning``."""
    warnings.warn(message, ContraposeWarning, stacklevel=3)


def did_you_mean(name: str, choices: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the nearest choice, else the choices there are (``""`` if none)."""
    names = sorted(set(choices))
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    if near:
        return f"; did you mean {near[0]!r}?"
    return f"; there is {', '.join(names[:12])}{', …' if len(names) > 12 else ''}" if names else ""
