"""From files of one's own to a report by `init`, `train` and `report`, without a line of Python or YAML."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import contrapose as cp
from contrapose.cli import main

QUICK = ("train.epochs=1", "train.device=cpu", "train.workers=0", "train.threads=1")
SHAPES = ("square", "bar", "stripes", "disc")


Command = Callable[..., str]


def in_process(capsys: pytest.CaptureFixture[str]) -> Command:
    """Commands as a person runs them in the working folder, but without starting Python anew; each gives its output."""

    def run(*arguments: str) -> str:
        assert main(arguments) == 0
        return capsys.readouterr().out

    return run


def to_a_report(contrapose: Command, data: str, *more: str) -> None:
    """The three commands."""
    said = contrapose("init", data)
    assert said.splitlines()[-2:] == ["  contrapose train contrapose.yaml", "  contrapose report runs/contrapose"]
    contrapose("train", "contrapose.yaml", *(part for value in QUICK for part in ("--set", value)))
    contrapose("report", "runs/contrapose", *more)


def draw(path: Path, shape: str, rng: np.random.Generator) -> None:
    y, x = np.mgrid[:48, :48] - rng.integers(18, 30)
    inside = {
        "square": np.maximum(abs(x), abs(y)) < 12,
        "bar": abs(x) < 6,
        "stripes": y // 6 % 2 == 0,
        "disc": x**2 + y**2 < 150,
    }[shape]
    picture = np.where(inside[..., None], rng.integers(0, 120, 3), rng.integers(140, 255, 3)).astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(path)


def test_a_folder_of_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(0)
    for i in range(48):
        draw(tmp_path / "pictures" / SHAPES[i % 4] / f"{i}.png", SHAPES[i % 4], rng)
    monkeypatch.chdir(tmp_path)
    to_a_report(in_process(capsys), "pictures")
    report = (tmp_path / "runs/contrapose/report.html").read_text()
    config = cp.Config.load(tmp_path / "contrapose.yaml").data
    assert config["modalities"] == {"image": "."}
    assert config["meta"] == {"label": "folder"}
    assert config["method"] == "simclr"
    assert report.rstrip().endswith("</html>")
    assert "data:image/png;base64," in report
    assert "kNN" in report


def test_a_table_of_pictures_words_and_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(0)
    colours, things = (
        ["red", "dark green", "pale blue"],
        ["for the kitchen wall", "seen from above", "by an unknown hand"],
    )
    with open(tmp_path / "things.csv", "w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["photo", "description", "width", "weight", "sold", "stock number"])
        for i in range(64):
            shape = SHAPES[i % 4]
            draw(tmp_path / "photos" / f"{i}.jpg", shape, rng)
            words = f"a {colours[i % 3]} {shape} number {i} {things[i % 5 % 3]}" if i % 9 else ""
            weight = round(rng.normal(i % 4, 0.2), 2)
            table.writerow([f"photos/{i}.jpg", words, 10 * (i % 4) + rng.integers(5), weight, i % 2 == 0, f"X-{i:04}"])
    monkeypatch.chdir(tmp_path)
    to_a_report(in_process(capsys), "things.csv", "--no-baseline")
    report = Path("runs/contrapose/report.html").read_text()
    config = cp.Config.load(tmp_path / "contrapose.yaml").data
    assert config["modalities"] == {"image": "photo", "text": "description", "tabular": ["width", "weight", "sold"]}
    assert len(config["method"]["pairs"]) == 6
    assert report.rstrip().endswith("</html>")
    for name in ("image", "text", "tabular"):
        assert name in report
