"""The gallery in the docs shows every view generator that our plugins offer."""

from __future__ import annotations

from pathlib import Path

import pytest

from contrapose.plugins import registry

PAGE = Path(__file__).resolve().parents[2] / "docs" / "gallery.md"
OURS = [offer for offer in registry().offers("view") if offer.distribution.startswith("contrapose-")]


def test_there_are_some() -> None:
    assert len(OURS) > 30


@pytest.mark.parametrize("offer", OURS, ids=lambda offer: offer.name)
def test_the_gallery_shows_it(offer) -> None:
    section = PAGE.read_text(encoding="utf-8").split(f"## {offer.spec.modality}\n")[1].split("\n## ")[0]
    bare = offer.name.partition("/")[2]
    # In a picture's description, or as a row of a table.
    assert f" {bare}," in section or f" {bare}]" in section or f" {bare} (" in section or f"`{offer.name}" in section, (
        f"run: python docs/gallery.py, as {offer.name} isn't there"
    )
