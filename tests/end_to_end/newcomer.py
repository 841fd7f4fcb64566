"""An environment as a newcomer has it: nothing of this repository but what pip installs there, from wheels.

Packages of others (torch above all) are borrowed from the environment that runs the tests, by links, so that nothing is downloaded.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
OURS = ("contrapose", "__editable__")
COMMANDS = ("pip", "pytest", "mypy", "ruff")


class Newcomer:
    """A virtual environment in ``where``, with wheels of the distributions (folders of this repository) in it."""

    def __init__(self, where: Path, *distributions: str) -> None:
        self.bin = where / "venv" / "bin"
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(where / "venv")], check=True)
        site = Path(sysconfig.get_path("purelib", vars={"base": str(where / "venv"), "platbase": str(where / "venv")}))
        borrowed = where / "borrowed"
        borrowed.mkdir()
        for path in map(Path, sysconfig.get_paths()["purelib"].split(os.pathsep)):
            for entry in path.iterdir():
                if entry.suffix != ".pth" and not entry.name.startswith(OURS):
                    (borrowed / entry.name).symlink_to(entry)
        (site / "borrowed.pth").write_text(f"{borrowed}\n")
        for command in COMMANDS:  # what pip would have written for them
            script = self.bin / command
            script.write_text(f'#!/bin/sh\nexec {self.bin / "python"} -m {command} "$@"\n')
            script.chmod(0o755)
        wheels = where / "wheels"
        for distribution in distributions:
            copy = where / "source" / distribution
            shutil.copytree(
                ROOT / distribution, copy, ignore=shutil.ignore_patterns("build", "*.egg-info", "__pycache__")
            )
            self.pip("wheel", "--no-deps", "--no-build-isolation", "-w", str(wheels), str(copy))
        self.pip("install", *map(str, sorted(wheels.iterdir())))

    def pip(self, command: str, *arguments: str) -> str:
        """``pip COMMAND``. No index is asked."""
        return self.run([str(self.bin / "pip"), "-q", command, *arguments], self.bin)

    def run(self, command: list[str] | str, place: Path, code: int = 0) -> str:
        """What a command, a line for the shell or a list, says in the folder ``place``; it must end with ``code``."""
        done = subprocess.run(
            command,
            cwd=place,
            shell=isinstance(command, str),
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={
                "PATH": f"{self.bin}:/usr/bin:/bin",
                "HOME": str(place),
                "OMP_NUM_THREADS": "1",
                "COLUMNS": "120",
                "PIP_NO_INDEX": "1",
                "PIP_DISABLE_PIP_VERSION_CHECK": "1",
                "PIP_NO_BUILD_ISOLATION": "0",  # builds with what is here: pip reads this as --no-build-isolation
            },
        )
        assert done.returncode == code, f"{command}\n{done.stdout}"
        return done.stdout
