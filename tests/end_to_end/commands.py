"""Command lines of ``contrapose`` as a page shows them, run in this process: another one costs the seconds of its imports."""

from __future__ import annotations

import contextlib
import io
import shlex
import sys
import warnings
from pathlib import Path

from contrapose.cli import main
from contrapose.plugins import configure


def contrapose(line: str, place: Path) -> tuple[int, str]:
    """The exit status of a line that begins with ``contrapose``, run in the folder ``place``, and all that it says.

    As in a process of its own, no plugin is loaded before, and every warning is new; what it loads from ``place`` is forgotten.
    """
    program, *arguments = shlex.split(line, comments=True)
    assert program == "contrapose"
    configure()
    warnings.onceregistry.clear()  # type: ignore[attr-defined]
    there, paths = set(sys.modules), list(sys.path)
    said = io.StringIO()
    with contextlib.chdir(place), contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        status = main(arguments)
    for name in set(sys.modules) - there:
        if (place / (getattr(sys.modules[name], "__file__", None) or "/")).is_relative_to(place):
            del sys.modules[name]
    sys.path[:] = paths
    configure()
    return status, said.getvalue()
