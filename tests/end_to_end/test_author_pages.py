"""The tutorials for authors, done by their own commands: what they show is what is said."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.end_to_end.commands import contrapose
from tests.end_to_end.newcomer import Newcomer
from tests.end_to_end.transcript import Step, assert_said, follow

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGES = {"custom-view.md": "plugins/pointcloud", "custom-modality.md": ""}


def here(command: str, place: Path, code: int) -> str:
    """Run with the packages of the tests themselves."""
    if command.startswith("contrapose "):
        status, said = contrapose(command, place)
        assert status == code, f"{command}\n{said}"
        return said
    done = subprocess.run(
        command,
        cwd=place,
        shell=True,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
    )
    assert done.returncode == code, f"{command}\n{done.stdout}"
    return done.stdout


@pytest.mark.parametrize("page", PAGES)
def test_the_page_says_what_is_said(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All but what needs pip, and what takes long and isn't about authors."""
    monkeypatch.setenv("COLUMNS", "120")
    text = (DOCS / page).read_text().partition("## A package of it")[0]
    long = ("pytest", "contrapose views", "contrapose report")
    done = follow(text, tmp_path, here, skip=lambda command: command.startswith(long))
    assert sum(command.startswith("contrapose train") for command in done) >= 1


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("page", PAGES)
def test_a_newcomer_does_all_of_it(page: str, tmp_path: Path) -> None:
    new = Newcomer(tmp_path, *filter(None, ("core", PAGES[page])))
    place = tmp_path / "place"
    place.mkdir()
    follow((DOCS / page).read_text(), place, new.run)


@pytest.mark.parametrize(
    ("said", "found", "why"),
    [
        (("one", "3 rows"), "one\n3 rows\n", None),
        (("one", "3 rows"), "one\n4 rows\n", "the page says"),
        (("loss 2.5 at 0:04, 30 samples/s",), "loss 7.25 at 1:00, 4 samples/s\n", None),
        (("one", "three"), "one\ntwo\nthree\n", "leaves out"),
        (("one", "…", "three"), "one\ntwo\nthree\n", None),
        (("one",), "one\ntwo\n", "leaves out"),
        (("one …",), "one and more\n", None),
        ((), "anything\n", None),
    ],
)
def test_transcripts_are_compared(said: tuple[str, ...], found: str, why: str | None) -> None:
    step = Step(command="x", said=said)
    if why is None:
        assert_said(step, found)
    else:
        with pytest.raises(AssertionError, match=why):
            assert_said(step, found)
