"""What docs/methods-table.md says: every preset learns, by runs of the configs as they are now."""

from __future__ import annotations

import json
import statistics
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "examples/methods_table"))

from render import FIGURES, PAGE, gains, page, standard_error  # noqa: E402
from run import digest, rows, table  # noqa: E402

FOUND = json.loads(FIGURES.read_text("utf-8"))
SAID = table()


def test_the_page_is_what_the_runs_found() -> None:
    assert PAGE.read_text("utf-8") == page(FOUND), "run: python examples/methods_table/render.py"


@pytest.mark.parametrize("name", rows(SAID))
def test_the_runs_are_of_the_table_as_it_is(name: str) -> None:
    runs = FOUND["methods"][name]
    assert [r["seed"] for r in runs] == [0, 1, 2]
    for run in runs:
        assert run["config"] == digest(name, run["seed"], SAID), (
            f"make methods-table: {name} has changed since its runs"
        )


@pytest.mark.parametrize("measure", ["knn", "linear"])
@pytest.mark.parametrize("name", [name for name in rows(SAID) if "untrained" not in name])
def test_every_preset_learns(name: str, measure: str) -> None:
    """Above the untrained encoder by two standard errors over seeds."""
    gained = gains(FOUND, name, measure)
    assert statistics.mean(gained) > 2 * standard_error(gained), gained


@pytest.mark.parametrize("name", SAID["methods"])
def test_no_preset_has_collapsed(name: str) -> None:
    assert min(run["rank"] for run in FOUND["methods"][name]) > 5
