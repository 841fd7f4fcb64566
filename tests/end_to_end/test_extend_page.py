"""Every snippet of docs/extend.md runs, on three modalities that nobody has heard of."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML
from tests.end_to_end.thirds import write_three

import contrapose as cp
from contrapose.cli import main
from contrapose.engine.recipe import lay_over
from contrapose.plugins import configure, registry

HERE = Path(__file__).parent
TEXT = (HERE.parents[1] / "docs/extend.md").read_text()
SNIPPETS = re.findall(r"^```(\w+)\n(.*?)^```", TEXT, re.M | re.S)
OURS = {
    "image/eval": "doubled",
    "pointcloud/crosspoint": "whiff",
    "pointcloud/dgcnn": "scent-net",
    "image": "wave",
    "text": "echo",
    "pointcloud": "scent",
}
FEW = ["train.epochs=1", "train.batch_size=8", "train.loggers=[]", "train.device=cpu", "train.threads=1"]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("CONTRAPOSE_CACHE", str(tmp_path / "cache"))
    configure()
    for file in ("waves.py", "thirds.py"):
        registry().load_file(HERE / file)
    yield write_three(tmp_path / "project", samples=40)
    configure()


def ours(snippet: str) -> str:
    for theirs, own in OURS.items():
        snippet = re.sub(rf"(?<![\w/]){theirs}(?![\w/])", own, snippet)
    return snippet


def as_tree(number: int) -> dict[str, Any]:
    tree: dict[str, Any] = YAML(typ="safe", pure=True).load(ours(SNIPPETS[number][1]))
    return tree


def test_these_are_all_snippets() -> None:
    assert [language for language, _ in SNIPPETS] == ["yaml", "yaml", "yaml", "bash", "python"]


def test_they_run(place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    monkeypatch.chdir(place)
    base = cp.Config.load("old.yaml").data
    for number in (0, 1):
        cp.train(lay_over(base, as_tree(number)), set=FEW, out=f"runs/frozen{number}")
        assert "frozen: wave (encoder); " in capsys.readouterr().out
    cp.train("old.yaml", set=FEW, out="runs/pairs", quiet=True)
    config = as_tree(2) | {"split": {"column": "part"}, "evaluate": {"evaluators": ["retrieval"]}}
    config = cp.Config.of({**config, "data": "three.jsonl"}, FEW)
    Path("clouds.yaml").write_text(config.dump())
    flags = [word for file in ("waves.py", "thirds.py") for word in ("--plugin", str(HERE / file))]
    for line in SNIPPETS[3][1].splitlines():
        quick = ["--no-baseline", "--no-pictures"] if "evaluate" in line else []
        assert main([*line.split()[1:], *quick, *flags]) == 0
    said = capsys.readouterr().out
    assert all(pair in said for pair in ("scent → wave", "scent → echo", "wave → echo")), "old and new"
    os.rename("runs/three", "runs/first")
    configure()
    for file in ("waves.py", "thirds.py"):
        registry().load_file(HERE / file)
    capsys.readouterr()
    exec(SNIPPETS[4][1], {})
    assert "{'wave': (10, 8), 'echo': (10, 8), 'scent': (9, 8)}" in capsys.readouterr().out
