"""What a plugin does to its host while it is imported and asked: the time that it takes, what it prints, what it still uses."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from time import perf_counter
from typing import Any

SLOW = 0.5
"""Seconds of a plugin's own import and hooks beyond which it is said to be slow: every command waits for all plugins."""


class Aside:
    """Stands in for the standard output, which may be a pipe that JSON is read from: what is written goes to the standard error."""

    def __init__(self) -> None:
        self.said = ""

    def write(self, text: str) -> int:
        """Write to the standard error, and remember the first words."""
        self.said = self.said or text.strip()
        return sys.stderr.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(sys.stderr, name)


@contextmanager
def aside() -> Iterator[Aside]:
    """Keep what a plugin's code prints off the standard output."""
    stand_in = Aside()
    with redirect_stdout(stand_in):
        yield stand_in


class Watch:
    """Of one plugin: ``notes`` says in a line each what a person should know though the plugin works."""

    def __init__(self) -> None:
        self._seconds = 0.0
        self._printed = ""
        self._deprecated: list[str] = []

    @contextmanager
    def over(self) -> Iterator[None]:
        """Watch what runs within; may be entered again."""
        began = perf_counter()
        try:
            with aside() as stand_in:
                yield
        finally:
            self._seconds += perf_counter() - began
            self._printed = self._printed or stand_in.said

    @contextmanager
    def over_registration(self) -> Iterator[None]:
        """Watch pluggy look at the hooks: it warns of deprecated ones, and of deprecated arguments (``warn_on_impl_args``)."""
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            yield
        self._deprecated += [str(warning.message).partition("\n")[0] for warning in said]

    @property
    def notes(self) -> tuple[str, ...]:
        """What is to be said: it is slow, it prints, it uses what will go."""
        notes = [f"deprecated: {said}" for said in self._deprecated]
        if self._seconds > SLOW:
            notes.append(
                f"slow: takes {self._seconds:.1f} s to import; import what a component needs in its own module"
            )
        if self._printed:
            notes.append(f"prints when it is imported: {self._printed.splitlines()[0][:60]!r}")
        return tuple(notes)
