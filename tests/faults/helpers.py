"""What the tests of faults share: a small project, the command line on it, and what a run ends with."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tests.end_to_end.waves import write_project

from contrapose.cli import main

WAVES = Path(__file__).parents[1] / "end_to_end" / "waves.py"
BROKEN = Path(__file__).with_name("broken.py")
PLUGINS = ("--plugin", str(WAVES), "--plugin", str(BROKEN))
COMMAND = (sys.executable, "-m", "contrapose", "train", *PLUGINS)


def waves_alone(folder: Path, encoder: str = "wave-net", view: str = "wobble", train: str = "") -> Path:
    """A project of one modality, without BatchNorm in its heads; the config's path."""
    config = write_project(folder, train=train)
    text = config.read_text().replace("wave: wave, echo: echo", "wave: wave").replace("  echo: hiss\n", "")
    text = text.replace("wave: wave-net, echo: echo-net", f"wave: {encoder}").replace("out: 8}", "out: 8, norm: none}")
    config.write_text(text.replace("{use: wobble, sigma: 0.2}", view))
    return config


def train(*words: object) -> int:
    """``contrapose train`` in this process; its exit status."""
    return main(["train", *PLUGINS, *map(str, words)])


def start(*words: object, **options) -> subprocess.Popen:
    """``contrapose train`` in a process of its own."""
    pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([*COMMAND, *map(str, words)], **pipes | options)


def the_error(err: str) -> str:
    """The one line of an error, which is all that stderr holds of it."""
    lines = re.findall(r"^error: (.*)$", err, re.M)
    assert len(lines) == 1, err
    assert "Traceback" not in err
    return lines[0]


def kept(run: Path) -> list[int]:
    """The steps of the checkpoints."""
    return sorted(int(path.name[5:]) for path in (run / "checkpoints").glob("step-*"))


def outcome(run: Path) -> dict[str, bytes]:
    """What a run ends with, bit by bit: every step's metrics, weights and the optimiser's state."""
    last = run / "checkpoints" / f"step-{kept(run)[-1]:08d}"
    files = [run / "metrics.csv", last / "model.safetensors", last / "optimizer.safetensors"]
    return {file.name: file.read_bytes() for file in files}
