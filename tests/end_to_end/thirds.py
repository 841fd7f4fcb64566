"""A third invented modality, a project in which three tell of the same hidden thing, and a run that knows only two of them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from tests.end_to_end.waves import Echo, Net, write_project

import contrapose
from contrapose.plugins.decorators import mark


class Scent(Echo):
    """A list in the table, as an echo is."""

    name = "scent"


mark(Scent, "modality", "scent")


class Level(Echo):
    """An echo in units of the largest number of the training split."""

    name = "level"
    largest = 0.0

    def fit(self, cells, root):
        self.largest = max(float(np.abs(v).max()) for row in cells for v in row.values())

    def facts(self):
        return {"largest": self.largest}

    def state_dict(self):
        return {"largest": self.largest}

    def load_state_dict(self, state):
        self.largest = state["largest"]

    def load(self, cells, root):
        return super().load(cells, root) / self.largest


mark(Level, "modality", "level")


@contrapose.encoder("level-net")
def level_net(largest: float):
    """A net that must know the modality's facts."""
    return Net("level", 16 if largest else 0)


@contrapose.view("scent")
def whiff(data, rng, sigma: float = 0.05):
    """Noise."""
    return data + rng.normal(0, sigma, data.shape)


@contrapose.view("wave")
def doubled(data, rng, gain: float = 2.0):
    """No chance in it."""
    return data * gain


@contrapose.encoder("scent-net")
def scent_net(width: int = 16, dropout: float = 0.1, norm: bool = True):
    """A small net for scents."""
    return Net("scent", width, dropout, norm)


def write_three(folder: Path, samples: int = 96) -> Path:
    """Waves, echoes and scents that are maps of three hidden numbers, with ``old.yaml`` of two and ``new.yaml`` of the third."""
    write_project(folder, samples=1)
    rng = np.random.default_rng(1)
    maps = {m: rng.normal(0, 1, (3, 32)) for m in ("wave", "echo", "scent")}
    rows = []
    for i in range(samples):
        hidden = rng.normal(0, 1, 3)
        made = {m: (hidden @ a).round(4) for m, a in maps.items()}
        (folder / "waves" / f"{i}.txt").write_text(" ".join(map(str, made["wave"])))
        row = {"wave": f"waves/{i}.txt", **{m: made[m].tolist() for m in ("echo", "scent")}}
        row |= {"part": "test" if i % 4 == 3 else "train", "label": f"l{i % 3}"}
        if i % 9 == 4:
            row["scent"] = None
        rows.append(row)
    (folder / "three.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    common = "data: three.jsonl\nmeta: {label: label}\nsplit: {column: part}\n"
    train = "train: {steps: 30, batch_size: 24, lr: 2e-2, threads: 1, device: cpu, loggers: []}\n"
    (folder / "old.yaml").write_text(
        f"""{common}modalities: {{wave: wave, echo: echo}}
views: {{wave: {{use: wobble, sigma: 0.05}}, echo: hiss}}
encoders: {{wave: wave-net, echo: echo-net}}
method: {{use: pair-graph, pairs: [[wave, echo]], out: 8, hidden: 16}}
{train}"""
    )
    (folder / "new.yaml").write_text(
        f"""{common}views: {{scent: whiff}}
encoders: {{scent: scent-net}}
method: {{use: pair-graph, pairs: [[scent, wave]]}}
evaluate: {{evaluators: [retrieval]}}
{train}"""
    )
    return folder
