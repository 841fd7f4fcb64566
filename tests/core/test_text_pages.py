"""What docs/text-debian.md and docs/text-reviews.md say is what runs of the configs as they are found."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "examples/text_debian"), str(ROOT / "examples/text_reviews")]

import debian  # noqa: E402
import debian_page  # noqa: E402
import reviews  # noqa: E402

DEBIAN: dict[str, Any] = json.loads(debian_page.FIGURES.read_text("utf-8"))


def test_the_page_of_descriptions_is_what_its_runs_found() -> None:
    assert debian_page.PAGE.read_text("utf-8") == debian_page.page(DEBIAN), "run examples/text_debian/debian_page.py"
    said = debian.table()
    for name, runs in DEBIAN["runs"].items():
        assert all(run["config"] == debian.digest(name, run["seed"], said) for run in runs), f"{name} has changed"


def test_encoders_learn_from_descriptions() -> None:
    for name in debian.table()["encoders"]:
        trained, untrained = (DEBIAN["runs"][f"{kind}{name}"] for kind in ("", "untrained-"))
        assert min(r["r1"] for r in trained) > max(r["r1"] for r in untrained)


def test_the_page_of_reviews_is_what_its_runs_found() -> None:
    found = json.loads(reviews.FIGURES.read_text("utf-8"))
    assert reviews.PAGE.read_text("utf-8") == reviews.page(found), "run examples/text_reviews/reviews.py --page"
    assert {found["config"], *(run["config"] for run in found["runs"])} == {reviews.digest()}


def test_recall_is_a_count() -> None:
    scores = np.array([[0.9, 0.1, 0.2], [0.8, 0.5, 0.1], [0.3, 0.3, 0.3]])
    assert debian.recall(scores) == pytest.approx(1 / 3), "the second is behind, the third tied"
    assert reviews.recall(scores, 1) == pytest.approx((1 + 0 + 1 / 3) / 3)
    assert reviews.recall(scores, 2) == pytest.approx((1 + 1 + 2 / 3) / 3)
