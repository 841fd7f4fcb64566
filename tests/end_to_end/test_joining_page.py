"""Every snippet of docs/joining.md: each config trains a step over invented towers, and the table is what a run says."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from tests.end_to_end.waves import write_project

from contrapose import Method, build
from contrapose.config import Config
from contrapose.config.yaml import parse
from contrapose.engine.metrics import read_metrics
from contrapose.engine.recipe import lay_over
from contrapose.engine.run import train
from contrapose.engine.summary import summary
from contrapose.methods.method import SECTIONS
from contrapose.plugins import configure
from contrapose.testing.toy import ToyEncoder, step, toy_batch

ROOT = Path(__file__).resolve().parents[2]
SNIPPETS = re.findall(r"^```(\w+)\n(.*?)^```", (ROOT / "docs/joining.md").read_text(), re.M | re.S)
CONFIGS = [text for language, text in SNIPPETS if language == "yaml" and "method:" in text]
TABLE = next(text for language, text in SNIPPETS if language == "text" and text.startswith("last epoch"))
MODALITIES = ["pointcloud", "image", "text", "tabular"]


def test_these_are_all_snippets() -> None:
    assert {language for language, _ in SNIPPETS} <= {"yaml", "text", "bash", "python"}
    assert len(CONFIGS) >= 7


@pytest.mark.parametrize("text", CONFIGS, ids=range(len(CONFIGS)))
def test_a_config(text: str) -> None:
    config = parse(text, "joining.md").data
    for view in config.get("views", {}).values():
        build("view", view)
    node: Any = config["method"]
    if not isinstance(node, dict) or node.get("use") not in ("pair-graph", "symile", "gram", "ulip"):
        pytest.skip("another test's")
    sections = {k: v for k, v in node.items() if k in SECTIONS}
    made = build("method", {k: v for k, v in node.items() if k not in SECTIONS}, modalities=MODALITIES)
    method = Method.from_data(lay_over(made, sections), {m: ToyEncoder(m, width=16) for m in MODALITIES}).double()
    method.clock.start(steps_per_epoch=1, epochs=10)
    batch = toy_batch([f"{m}/{n}" for m in MODALITIES for n in range(2 if node["use"] == "pair-graph" else 1)], 8)
    batch.meta["caption"] = torch.tensor([0, 0, 1, 2, 3, 4, 5, 6])
    loss, grads = step(method, batch)
    assert loss > 0
    assert all(g.isfinite().all() for g in grads.values())


def test_the_table(tmp_path: Path) -> None:
    """Of a graph over three modalities: the page's columns and rows, whatever the numbers."""
    here = Path(__file__)
    folder = write_project(tmp_path / "project", samples=24).parent
    plugins = [here.with_name("waves.py"), here.parents[1] / "core" / "dials.py"]
    head = (folder / "my.yaml").read_text().partition("method:")[0]
    rows = [
        re.sub(r"\}$", f', "early": {n}, "late": {n % 3}}}', line)
        for n, line in enumerate((folder / "things.jsonl").read_text().splitlines())
    ]
    (folder / "things.jsonl").write_text("\n".join(rows) + "\n")
    head = head.replace("echo: echo}", "echo: echo, dial: [early, late]}").replace(
        "  echo: hiss", "  echo: hiss\n  dial: turn"
    )
    head = head.replace("echo: echo-net}", "echo: echo-net, dial: dial-net}").replace(
        "sigma: 0.2", "sigma: 0.2, count: 2"
    )
    pairs = "[{pair: [wave, dial], weight: 0.5}]"
    graph = f"{{use: pair-graph, graph: hub, centre: wave, intra: [wave], tau: {{learn: 0.1}}, pairs: {pairs}}}"
    end = "train: {epochs: 1, batch_size: 10, threads: 1, device: cpu, loggers: []}"
    (folder / "my.yaml").write_text(f"{head}method: {graph}\n{end}\n")
    registry = configure()
    for plugin in plugins:
        registry.load_file(plugin)  # where other tests load them from: a module's name is taken once
    try:
        run = train(Config.load(folder / "my.yaml"), out=folder / "run", quiet=True)
    finally:
        configure()
    said = io.StringIO()
    Console(file=said, width=90).print(summary(read_metrics(run.dir / "metrics.csv"), run.method))
    names = [line.split()[0] for line in said.getvalue().splitlines()]
    assert names == [line.split()[0] for line in TABLE.splitlines()]
    assert said.getvalue().split("\n")[0].split() == TABLE.split("\n")[0].split()
