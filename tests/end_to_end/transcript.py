"""A page of docs as its reader follows it: files to write, commands with what they say, Python to run, in the page's order."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

FENCE = re.compile(r"^```(\w+)\n(.*?)^```", re.M | re.S)
NAMED = re.compile(r"# (\S+\.(?:py|yaml|toml))\n")
VARYING = re.compile(r"[+-]?\d+\.\d+(?:e-?\d+)?|\d+:\d\d|\d+(?= samples/s| passed| skipped)")
"""What differs from machine to machine: fractions, times, speeds, how many checks the kit has."""

Run = Callable[[str, Path, int], str]
"""(a line for the shell, the folder, the exit code that it must have) to what it says."""


@dataclass(frozen=True)
class Step:
    """A file (``name``, ``text``), or a ``command`` with the ``said`` lines that the page shows of its output."""

    name: str = ""
    text: str = ""
    command: str = ""
    said: tuple[str, ...] = ()


def steps(page: str) -> Iterator[Step]:
    """The snippets: ``console`` blocks hold commands, those whose first line is ``# file.py`` are files, other Python is run."""
    for number, (language, text) in enumerate(FENCE.findall(page)):
        if language == "console":
            for part in re.split(r"^\$ ", text, flags=re.M)[1:]:
                command, *said = part.rstrip("\n").split("\n")
                yield Step(command=command, said=tuple(said))
        elif named := NAMED.match(text):
            yield Step(named[1], text)
        elif language == "python":
            yield Step(f"snippet{number}.py", text)
            yield Step(command=f"python snippet{number}.py")


def follow(page: str, here: Path, run: Run, skip: Callable[[str], bool] = lambda command: False) -> list[str]:
    """Do as the page says in the folder ``here``, but for the commands to ``skip``; returns the commands that were run."""
    done = []
    for step in steps(page):
        if step.name:
            (here / step.name).write_text(step.text)
        elif step.command.startswith("cd "):
            here = here / step.command.removeprefix("cd ")
        elif not skip(step.command):
            found = run(step.command, here, int(any(line.startswith("error: ") for line in step.said)))
            assert_said(step, found)
            done.append(step.command)
    return done


def assert_said(step: Step, found: str) -> None:
    """What a command says is what the page shows: line for line, but for what varies, and ``…`` in place of anything."""
    lines = [line.rstrip() for line in found.splitlines()]
    at, gap = 0, False
    for said in step.said:
        if said.strip() == "…":
            gap = True
            continue
        wanted = re.compile(pattern(said))
        places = [i for i in range(at, len(lines)) if wanted.fullmatch(lines[i])]
        assert places, f"{step.command}: the page says\n  {said}\nafter line {at} of\n{found}"
        assert gap or places[0] == at, f"{step.command}: the page leaves out\n  {lines[at]}\nbefore\n  {said}"
        at, gap = places[0] + 1, False
    assert gap or not step.said or at == len(lines), f"{step.command}: the page leaves out\n  {lines[at]}"


def pattern(said: str) -> str:
    """A shown line as a regular expression."""
    parts = [re.escape(part) for part in VARYING.split(said.rstrip())]
    return r"[\d.:e+-]+".join(parts).replace("…", ".*").replace(r"\ ", " *")
