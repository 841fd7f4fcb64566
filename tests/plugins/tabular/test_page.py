"""Every snippet of docs/tabular.md runs, on a small table."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from ruamel.yaml import YAML

TEXT = (Path(__file__).parents[3] / "docs/tabular.md").read_text()
SNIPPETS = re.findall(r"^```(\w+)\n(.*?)^```", TEXT, re.M | re.S)
N = range(32)
THINGS = {
    "id": [f"thing {i}" for i in N],
    "price": [None if i % 7 == 3 else 1.5 * i for i in N],
    "floor": [i % 3 for i in N],
    "room": [("bath", "attic", "bath")[i % 3] for i in N],
    "heated": [("yes", "no")[i % 2] for i in N],
    "sold": [f"2024-{1 + i % 12:02}-05" for i in N],
    "note": [f"a long note about the thing {i}" for i in N],
}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    pq.write_table(pa.table(THINGS), tmp_path / "things.parquet")
    return tmp_path


def run(command: list[str], place: Path) -> str:
    """What a command prints, in a process of its own as a user's is."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(command, cwd=place, text=True, capture_output=True, env={**os.environ, "PATH": path})
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_these_are_all_snippets() -> None:
    assert [language for language, _ in SNIPPETS] == ["bash", "yaml", "python", "python"]


def test_the_command_prints_the_config(place: Path) -> None:
    table, _, yaml = run(["bash", "-ec", SNIPPETS[0][1]], place).partition("modalities:\n")
    assert "32 rows; 5 of 7 columns to learn from" in table
    assert YAML(typ="safe", pure=True).load("modalities:\n" + yaml) == YAML(typ="safe", pure=True).load(SNIPPETS[1][1])


def test_the_python(place: Path) -> None:
    code = f"{SNIPPETS[2][1]}\n{SNIPPETS[3][1]}\nassert z.shape == (5, 256), z.shape"
    said = run([sys.executable, "-c", code], place)
    assert "price: numeric (0 to 45; 16% missing): numbers" in said
    assert "{'floor': 'categorical', 'heated': 'boolean', 'sold': 'time'}" in said
