"""Every snippet of docs/image.md runs, on a few small pictures, and its tables name what there is."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from ruamel.yaml import YAML

import contrapose
from contrapose import Config, registry
from contrapose.engine.build import Parts

TEXT = (Path(__file__).parents[3] / "docs/image.md").read_text()
SNIPPETS = [YAML(typ="safe", pure=True).load(code) for code in re.findall(r"^```yaml\n(.*?)^```", TEXT, re.M | re.S)]
SMALL = {"queue": {"size": 16}}


def section(heading: str) -> str:
    return TEXT.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def named(text: str) -> set[str]:
    """What stands in backticks in the first cells of a table."""
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    return {name for row in rows for name in re.findall(r"`([\w-]+)`", row)}


@pytest.mark.parametrize(("heading", "kind"), [("The papers' runs", "recipe"), ("Views", "view")])
def test_the_tables_name_all_there_is(heading: str, kind: str) -> None:
    assert named(section(heading)) == {o.spec.name for o in registry().offers(kind) if o.prefix == "image"}


def test_every_encoder_is_named() -> None:
    for offer in registry().offers("encoder"):
        if offer.prefix == "image":
            assert f"`{offer.spec.name}`" in section("Encoders") or f"image/{offer.spec.name}," in section("Encoders")


@pytest.mark.parametrize("snippet", SNIPPETS, ids=["recipe", "slots", "encoder", "folder"])
def test_snippets_run(
    snippet: dict[str, Any], tmp_path: Path, photo: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for i in range(8):
        where = tmp_path / "pictures" / ("cat", "dog")[i // 4]
        where.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.roll(photo, i * 5, axis=1)).save(where / f"{i}.png")
    own = {
        "data": "pictures",
        "modalities": {"image": None},
        "views": {"image": {"use": "image/simclr-cifar", "size": 8}},
        "encoders": {"image": {"use": "image/small", "width": 4}},
        "method": "simclr",
        "split": "none",
    }
    if "recipe" in snippet:
        own["views"] = {"image": {"use": "image/moco-v2", "size": 32}}
        own["method"] = {"use": "moco-v2", "sources": SMALL}
    train = {"train": {"steps": 1, "batch_size": 8, "device": "cpu", "loggers": []}}
    if "encoders" in snippet:  # too large to train here
        assert Parts(Config.of({**own, **snippet})).make_method().encoders["image"].dims["dense"] == 2048
        return
    run = contrapose.train({**own, **snippet, **train}, out=tmp_path / "run", quiet=True)
    assert len((run.dir / "metrics.csv").read_text().splitlines()) == 2
