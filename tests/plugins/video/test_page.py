"""Every snippet of docs/video.md runs, on a few small films, and its tables name what there is."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from wave import open as open_wave

import numpy as np
import pytest
from numpy.typing import NDArray
from ruamel.yaml import YAML
from tests.end_to_end.test_author_pages import here
from tests.end_to_end.transcript import follow
from tests.plugins.video.films import film, shades

import contrapose
from contrapose import Config, registry
from contrapose.engine.build import Parts
from contrapose.engine.recipe import with_recipe

TEXT = (Path(__file__).parents[3] / "docs/video.md").read_text()
RATE = 16_000
SNIPPETS = [
    YAML(typ="safe", pure=True).load(code)
    for code in re.findall(r"^```yaml\n(?!# \S+\.yaml)(.*?)^```", TEXT, re.M | re.S)
]


def section(heading: str) -> str:
    return TEXT.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def named(text: str) -> set[str]:
    """What stands in backticks in the first cells of a table."""
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    return {name for row in rows for name in re.findall(r"`([\w-]+)`", row)}


@pytest.mark.parametrize(
    ("heading", "kind"), [("The papers' runs", "recipe"), ("Choosing frames", "view"), ("Methods", "method")]
)
def test_the_tables_name_all_there_is(heading: str, kind: str) -> None:
    assert named(section(heading)) == {o.spec.name for o in registry().offers(kind) if o.prefix == "video"}


def test_every_encoder_is_named() -> None:
    for offer in registry().offers("encoder"):
        if offer.prefix == "video":
            assert re.search(rf"`{offer.spec.name}`|video/{offer.spec.name}[,}}]", section("Encoders"))


def write(path: Path, wave: NDArray[np.float32]) -> None:
    """A sound of 16 bits."""
    with open_wave(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes((wave * 20_000).astype("<i2").tobytes())


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of films, and a table of them."""
    monkeypatch.chdir(tmp_path)
    lines = ["file,sound,caption,label"]
    for i in range(24):
        where = tmp_path / "films" / ("dance", "swim")[i % 2]
        where.mkdir(parents=True, exist_ok=True)
        frames = shades(30 + i)
        (where / f"{i:03d}.mp4").write_bytes(film(frames if i % 2 else np.roll(frames, 9, axis=2)))
        write(tmp_path / f"{i}.wav", np.sin(np.arange(48_000) * (0.05 + 0.01 * i)).astype(np.float32))
        lines.append(f"films/{where.name}/{i:03d}.mp4,{i}.wav,film {i} of {where.name},{where.name}")
    (tmp_path / "films.csv").write_text("\n".join(lines))
    return tmp_path


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_page_is_followed(place: Path) -> None:
    pytest.importorskip("cv2", exc_type=ImportError)
    done = follow(TEXT, place, lambda *a: here(*a) and "")
    assert [command.split()[0] for command in done] == [*["contrapose"] * 3, "python", "python"]
    assert (place / "flow.pt").exists()
    assert "class R@1" in (place / "runs/films/evaluation.json").read_text()


def test_its_first_config_gives_batches(place: Path) -> None:
    (place / "films.yaml").write_text(re.findall(r"^```yaml\n(# films\.yaml.*?)^```", TEXT, re.M | re.S)[0])
    batch = next(iter(Parts(Config.load(place / "films.yaml", ["train.workers=0", "train.device=cpu"])).train_loader()))
    shapes = {name: tuple(view.data.shape) for name, view in batch.views.items()}
    assert shapes == dict.fromkeys(("video/a", "video/b"), (8, 3, 8, 32, 32))
    assert batch.meta["label"].unique().tolist() == [0, 1]


@pytest.mark.parametrize("snippet", SNIPPETS, ids=["far", "by-name", "decoder", "text", "sound", "recipe"])
def test_snippets_run(snippet: dict[str, Any], place: Path) -> None:
    own = {
        "data": "films.csv",
        "modalities": {"video": "file"},
        "views": {"video": {"use": "video/cvrl", "frames": 4, "size": 16, "then": "video/crop"}},
        "encoders": {"video": {"use": "video/small", "width": 2}},
        "method": {"use": "video/cvrl", "hidden": 8},
        "split": "none",
    }
    if "recipe" in snippet:  # too large to train here
        config = with_recipe(
            Config.of({"data": "films.csv", "modalities": {"video": "file"}, "split": "none", **snippet})
        )
        assert (config.run.train.batch_size, config.run.train.epochs, config.run.train.lr) == (32, 50, 0.6)
        assert Parts(config).recipe["slots"] == {"clip": 2}
        return
    train = {"train": {"steps": 1, "batch_size": 8, "device": "cpu", "loggers": []}}
    run = contrapose.train({**own, **snippet, **train}, out=place / "run", quiet=True)
    assert len((run.dir / "metrics.csv").read_text().splitlines()) == 2
    assert not run.unread.samples
