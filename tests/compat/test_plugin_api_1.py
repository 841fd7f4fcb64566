"""A plugin of API 1, kept as it was written (``plugin_api_1/``), runs in this version: all that it offers is trained with."""

from __future__ import annotations

import csv
import hashlib
import json
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
import torch

import contrapose as cp
from contrapose.cli import main
from contrapose.plugins import KINDS, configure, registry
from contrapose.testing import EncoderContract, ModalityContract, ViewContract

KEPT = Path(__file__).with_name("plugin_api_1")
DIGESTS = Path(__file__).with_name("plugin_api_1.sha256")


def digests() -> str:
    """What ``sha256sum`` says of the files of the kept plugin."""
    files = sorted(p for p in KEPT.rglob("*") if p.is_file() and p.suffix in (".py", ".yaml", ".toml", ".md"))
    return "".join(
        f"{hashlib.sha256(f.read_bytes()).hexdigest()}  {f.relative_to(KEPT.parent).as_posix()}\n" for f in files
    )


def test_no_file_of_the_kept_plugin_is_edited() -> None:
    assert digests() == DIGESTS.read_text(), "never edit tests/compat/plugin_api_1: see its README.md"


@pytest.fixture(scope="module", autouse=True)
def installed(tmp_path_factory: pytest.TempPathFactory):
    """The distribution as pip would leave it, from its own pyproject.toml, but without pip."""
    project = tomllib.loads((KEPT / "pyproject.toml").read_text())["project"]
    site = tmp_path_factory.mktemp("site")
    info = site / f"acme_pulse-{project['version']}.dist-info"
    info.mkdir()
    asked = "".join(f"Requires-Dist: {r}\n" for r in project["dependencies"])
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n{asked}"
    )
    (points,) = project["entry-points"].values()
    (info / "entry_points.txt").write_text(
        "[contrapose]\n" + "".join(f"{name} = {value}\n" for name, value in points.items())
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(KEPT / "src"))
        patch.syspath_prepend(str(site))
        configure()
        yield
        for name in [n for n in sys.modules if n.partition(".")[0] == "acme_pulse"]:
            del sys.modules[name]
    configure()


@pytest.fixture
def table(tmp_path: Path) -> Path:
    rows = []
    for i in range(40):
        pulse = np.sin(np.arange(8) * (1 + i % 5) + i / 7).round(5).tolist()
        rows.append({"pulse": pulse, "kind": f"k{i % 5}", "part": "test" if i % 4 == 3 else "train"})
    file = tmp_path / "pulses.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def test_it_offers_what_it_did() -> None:
    (plugin,) = (p for p in registry().plugins() if p.prefix == "pulse")
    assert plugin.status == "missing: acme_no_such_package -> pip install 'acme-pulse[cloud]'"
    assert not [note for note in plugin.notes if note.startswith("deprecated")]
    assert {o.kind for o in plugin.offers} == set(KINDS), "one of every kind"
    names = sorted(o.name for o in plugin.offers)
    offered = "pulse jitter halves eval net cloud scaled pull recall loud last made-up spread pair memory small lines"
    assert names == sorted(f"pulse/{name}" for name in offered.split(" "))


def test_training_by_its_recipe_with_its_reader_goes_on_and_is_read_again(table: Path, tmp_path: Path) -> None:
    """Modality, views, encoder, head, losses, weigher, preset, recipe, logger; embedding; a resumed run; evaluation."""
    config = tmp_path / "my.yaml"
    config.write_text(
        "recipe: pulse/small\ndata: pulses.jsonl\nmodalities: {pulse: pulse}\nmeta: {label: kind}\nsplit: {column: part}\n"
    )
    run = tmp_path / "run"
    assert main(["train", str(config), "--out", str(run)]) == 0
    assert main(["train", "--resume", str(run), "--set", "train.steps=9"]) == 0
    with open(run / "metrics.csv") as f:
        rows = list(csv.DictReader(f))
    assert [int(row["step"]) for row in rows] == list(range(1, 10))
    assert np.isfinite([float(row["loss"]) for row in rows]).all()
    assert [line.split()[0] for line in (run / "lines.txt").read_text().splitlines()] == [str(i) for i in range(1, 10)]
    loaded = cp.load(run)
    assert loaded.embed("test")["pulse"].z.shape == (10, 8)
    assert loaded.encoder("pulse")(torch.zeros(2, 8))["hidden"].shape == (2, 24)
    assert main(["evaluate", str(run)]) == 0
    scores = json.loads((run / "evaluation.json").read_text())["rows"]
    assert "spread" in {score["metric"] for score in scores}


def test_training_by_its_address_and_its_method(tmp_path: Path) -> None:
    """``reader_for``, the reader, the view class, a method that is a function, the source and the head loss."""
    config = {
        "data": "pulse:24",
        "modalities": {"pulse": {"columns": "pulse", "scale": 2.0}},
        "views": {"pulse": {"use": "pulse/halves", "strength": 0.5}},
        "encoders": {"pulse": "pulse/net"},
        "method": {"use": "pulse/memory", "tau": 0.2},
        "train": {"steps": 5, "batch_size": 8, "lr": 1e-2, "threads": 1, "device": "cpu"},
    }
    run = cp.train(config, out=tmp_path / "run", quiet=True)
    assert run.method.sources["last"].steps == 5
    assert np.isfinite(run.embed("train")["pulse"].z).all()


def test_its_command_is_one_of_contrapose(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pulse-hello", "--name", "API 1"]) == 0
    assert capsys.readouterr().out == "hello API 1\n"


CELLS = [{"pulse": np.sin(np.arange(8.0) * k).tolist()} for k in (1, 2, 3)]


class TestPulse(ModalityContract):
    spec = "pulse/pulse"
    cells = CELLS


class TestViews(ViewContract):
    specs = {"pulse/jitter": {"sigma": 0.2}, "pulse/halves": {}}  # noqa: RUF012
    cells = CELLS


class TestNet(EncoderContract):
    spec = "pulse/net"
    arguments = {"width": 8}  # noqa: RUF012
    cells = CELLS
