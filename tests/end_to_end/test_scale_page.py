"""Every snippet of docs/scale.md runs: on a small project, with smaller numbers."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML
from tests.end_to_end.waves import write_project

from contrapose.config import Config
from contrapose.engine.run import train
from contrapose.plugins import configure

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs/scale.md").read_text()
SNIPPETS = re.findall(r"^```(\w+)\n(.*?)^```", TEXT, re.M | re.S)
LINES = [*SNIPPETS[2][1].splitlines(), *SNIPPETS[5][1].splitlines()]
RUNS = [*(f"#!/bin/bash\n{line}" for line in LINES), SNIPPETS[3][1]]
NAMES = ["torchrun", "accelerate", "torchrun-shard", "accelerate-fsdp", "slurm"]
BARE = "norm: false, dropout: 0.1"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``my.yaml``, which uses no BatchNorm, and the plugin that it needs."""
    here = write_project(tmp_path_factory.mktemp("scale") / "project", train=", steps: 2, loggers: []").parent
    text = (here / "my.yaml").read_text()
    text = text.replace(
        "{wave: wave-net, echo: echo-net}", f"{{wave: {{use: wave-net, {BARE}}}, echo: {{use: echo-net, {BARE}}}}}"
    )
    (here / "my.yaml").write_text(text.replace("out: 8}", "out: 8, norm: none}"))
    shutil.copy(Path(__file__).with_name("waves.py"), here)
    (here / "conftest.py").write_text("import contrapose\n\ncontrapose.registry().load_file('waves.py')\n")
    commands = here / "bin"
    commands.mkdir()
    for name, does in {"srun": 'exec "$@"', "scontrol": "echo 127.0.0.1"}.items():
        (commands / name).write_text(f"#!/bin/bash\n{does}\n")
        (commands / name).chmod(0o755)
    return here


def run(command: list[str], place: Path) -> str:
    path = f"{place / 'bin'}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    slurm = {"SLURM_NNODES": "1", "SLURM_GPUS_ON_NODE": "2", "SLURM_JOB_NODELIST": "here", "SLURM_JOB_ID": "7"}
    done = subprocess.run(command, cwd=place, text=True, capture_output=True, env={**os.environ, **slurm, "PATH": path})
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_these_are_all_snippets() -> None:
    assert [language for language, _ in SNIPPETS] == ["yaml", "python", "bash", "bash", "yaml", "bash", "python"]


def test_the_config(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    configure().load_file(Path(__file__).with_name("waves.py"))  # as other tests do: a module's name is taken once
    large, synced = (YAML(typ="safe", pure=True).load(SNIPPETS[n][1])["train"] for n in (0, 4))
    settings = [f"train.{key}={value // 128 or 1}" for key, value in large.items()]
    train(Config.load(place / "my.yaml", settings), out=tmp_path / "run")
    assert "batches of 32 samples, 1 at a time through the encoders" in capsys.readouterr().out
    train(
        Config.load(place / "my.yaml", [f"train.{k}={v}" for k, v in synced.items()]),
        out=tmp_path / "synced",
        quiet=True,
    )
    configure()


def test_a_loop_of_ones_own(place: Path) -> None:
    code = f"import contrapose\ncontrapose.registry().load_file('waves.py')\n{SNIPPETS[1][1]}"
    assert float(run([sys.executable, "-c", code], place)) > 0


@pytest.mark.parametrize(
    "script",
    [RUNS[0], *(pytest.param(r, marks=pytest.mark.slow) for r in RUNS[1:])],
    ids=NAMES,
)
def test_launching(script: str, place: Path) -> None:
    file = place / "launch.sh"
    script = script.replace("my.yaml", "my.yaml --plugin waves.py")
    file.write_text(script.replace("--multi_gpu", "--cpu"))
    said = run(["bash", str(file)], place)
    # Without a GPU, accelerate's launcher starts one process, unless there is MPI; for FSDP it starts them all.
    split = "train.shard" in script or "use_fsdp" in script
    each = ", 4 in each of 2 processes" if "torchrun" in script or split else ""
    assert f"batches of 8 samples{each}{', which split the weights' if split else ''}\n" in said


def test_the_assertions(place: Path) -> None:
    (place / "test_mine.py").write_text(SNIPPETS[6][1])
    assert "2 passed" in run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_mine.py"], place)
