"""docs/data.md, Several datasets, in runs: sets with other modalities train as one, balanced, and resume exactly."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file
from tests.end_to_end.waves import write_project

from contrapose.cli import main
from contrapose.engine.run import load
from contrapose.plugins import configure
from contrapose.testing import assert_resume_exact

WAVES = Path(__file__).with_name("waves.py")
PLUGIN = ["--plugin", str(WAVES)]
SECTION = (Path(__file__).resolve().parents[2] / "docs/data.md").read_text().partition("## Several datasets")[2]
(SNIPPET,) = re.findall(r"^```yaml\n(.*?)^```", SECTION.partition("\n## ")[0], re.M | re.S)


@pytest.fixture
def project(tmp_path, monkeypatch):
    """``my.yaml``: the page's own lines on 30 furniture of two modalities and 12 parts of one."""
    here = write_project(tmp_path / "project", samples=42, train=", steps: 4, loggers: []").parent
    rows = [json.loads(line) for line in (here / "things.jsonl").read_text().splitlines()]
    names = {"wave": "cloud", "echo": "name", "pitch": "kind", "part": "part"}
    furniture = [{new: row[old] for old, new in names.items()} for row in rows[:30]]
    parts = [{"mesh": row["wave"], "family": f"family {i}"} for i, row in enumerate(rows[30:])]
    pq.write_table(pa.Table.from_pylist(furniture), here / "furniture.parquet")
    pq.write_table(pa.Table.from_pylist(parts), here / "parts.parquet")
    *_, rest = (here / "my.yaml").read_text().partition("views:")
    said, train = SNIPPET.replace("pointcloud", "wave").replace("text:", "echo:").split("train: ")
    rest = rest.replace("train: {", f"train: {{{train.strip()[1:-1]}, ")
    (here / "my.yaml").write_text(f"{said}evaluate: {{evaluators: [retrieval]}}\nviews:{rest}")
    monkeypatch.chdir(here)
    monkeypatch.setenv("CONTRAPOSE_CACHE", str(tmp_path / "cache"))
    yield here
    configure()


def test_sets_of_other_modalities_train_as_one(project, capsys):
    (project / "waves" / "31.txt").write_text("no number")
    assert main(["train", "my.yaml", "--out", "run", "--set", "train.steps=16", *PLUGIN]) in (0, 3)
    with open("run/skipped.csv") as file:
        (row,) = csv.DictReader(file)
    assert (row["sample"], row["modality"]) == ("31", "wave")
    assert row["reason"].startswith("parts: waves/31.txt: ")
    run = load("run")
    assert run.parts.splits["train"].words("dataset").count("furniture") == 25
    made = run.embed("test")
    sets = {modality: np.bincount(found.columns["dataset"], minlength=2).tolist() for modality, found in made.items()}
    assert sets["wave"][0] == 5
    assert sets["wave"][1] == len(run.parts.splits["test"]) - 5 > 0 == sets["echo"][1]
    assert run.parts.splits["test"].vocabularies["label"][0] == "family 0"
    assert str(project / "parts.parquet") in (project / "run/config.yaml").read_text()
    capsys.readouterr()
    for command in (
        ["evaluate", "run"],
        ["report", "run"],
        ["views", "my.yaml", "-o", "views.png"],
        ["search", "run", "train", "--query", "row=40", "--to", "wave"],
        ["embed", "run", "furniture.parquet", "-o", "z.parquet"],
    ):
        assert main([*command, *PLUGIN]) == 0, capsys.readouterr().err
    assert "furniture, parts" in (project / "run/report.html").read_text()
    assert main(["show", "reader", "several"]) == 0
    assert main(["pack", "my.yaml", "-o", "packed", *PLUGIN]) == 1
    assert "data: pack each of several datasets by itself, --set data=..." in capsys.readouterr().err
    assert main(["pack", "my.yaml", "-o", "packed", "--set", "data=furniture.parquet", *PLUGIN]) == 0


@pytest.mark.parametrize("options", [["train.workers=2"], ["train.balance.batches=one", "train.batch_size=6"]])
def test_a_stopped_run_ends_in_the_same_bits(project, options):
    assert_resume_exact(project / "my.yaml", steps=7, stop=3, set=options, plugins=[WAVES])


def test_what_is_wrong_is_one_line_with_its_place(project, capsys):
    def said(old, new):
        text = (project / "my.yaml").read_text()
        assert old in text
        (project / "wrong.yaml").write_text(text.replace(old, new, 1))
        assert main(["train", "wrong.yaml", "--out", "wrong", *PLUGIN]) == 1
        (line,) = capsys.readouterr().err.splitlines()
        return line

    assert said("wave: mesh", "wave: mash") == (
        "error: wrong.yaml:5: data.of.parts.modalities.wave: the data have no column 'mash'; did you mean 'mesh'?"
    )
    assert "wrong.yaml:3: data.of: none of the datasets has a column for echo: 'nome'" in said(
        "echo: name", "echo: nome"
    )
    assert "train.balance.by: no column 'dateset' under meta:; did you mean 'dataset'?" in said("dataset,", "dateset,")
    assert "parts has 10 samples" in said("batch_size: 8", "batch_size: 32")


@pytest.mark.slow
def test_two_processes_train_as_one(project):
    """On batches of which one process may have no sample of a modality."""
    text = (project / "my.yaml").read_text().replace("wave-net", "{use: wave-net, norm: false, dropout: 0.0}")
    text = text.replace("echo-net", "{use: echo-net, norm: false, dropout: 0.0}")
    text = text.replace("{use: mlp, out: 8}", "{use: linear, out: 8}")
    (project / "my.yaml").write_text(text)
    each = ["--set", "train.batch_size=6", "--set", "train.steps=6", "--set", "train.optimizer=sgd", *PLUGIN]
    assert main(["train", "my.yaml", "--out", "one", *each]) == 0
    two = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2", "-m", "contrapose", "train", "my.yaml"]
    done = subprocess.run([*two, "--out", "two", *each], text=True, capture_output=True, timeout=300)
    assert done.returncode == 0, done.stderr
    one, two = (load_file(f"{run}/checkpoints/step-00000006/model.safetensors") for run in ("one", "two"))
    for name, weights in one.items():
        torch.testing.assert_close(two[name], weights, rtol=1e-3, atol=1e-4, msg=name)
