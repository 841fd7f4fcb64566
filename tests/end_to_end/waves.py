"""A single-file plugin that brings two modalities nobody has heard of, and a project that uses them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import nn

import contrapose
from contrapose import DataError
from contrapose.data.cells import read_bytes
from contrapose.plugins.decorators import mark


class Wave:
    """A signal of 32 numbers in a text file."""

    name = "wave"
    dtype = torch.float32

    def load(self, cells, root):
        cell = next(iter(cells.values()))
        try:
            return np.array([float(x) for x in read_bytes(cell, root).split()], dtype=np.float32)
        except ValueError as e:
            raise DataError(f"{cell}: {e}") from e

    def collate(self, items):
        return torch.from_numpy(np.stack(items).astype(np.float32))

    def preview(self, data):
        return {"text/html": f"<pre>{data}</pre>"}


class Echo(Wave):
    """The same, but a list in the table itself."""

    name = "echo"

    def load(self, cells, root):
        try:
            return np.asarray(next(iter(cells.values())), dtype=np.float32)
        except (TypeError, ValueError) as e:
            raise DataError(f"an echo is a list of numbers: {e}") from e


mark(Wave, "modality", "wave")
mark(Echo, "modality", "echo")


@contrapose.view("wave")
def wobble(data, rng, sigma: float = 0.1):
    """Noise and a random gain."""
    return data * rng.uniform(0.8, 1.2) + rng.normal(0, sigma, data.shape)


@contrapose.view("echo")
def hiss(data, rng, sigma: float = 0.1):
    """Noise."""
    return data + rng.normal(0, sigma, data.shape)


class Net(nn.Module):
    """BatchNorm and dropout: what a resumed run is most likely to get wrong."""

    def __init__(self, modality: str, width: int = 16, dropout: float = 0.1, norm: bool = True) -> None:
        super().__init__()
        self.modality, self.dims = modality, {"pooled": width}
        normed = nn.BatchNorm1d(32) if norm else nn.Identity()
        self.net = nn.Sequential(nn.Linear(32, 32), normed, nn.ReLU(), nn.Dropout(dropout), nn.Linear(32, width))

    def forward(self, data):
        return {"pooled": self.net(data)}


@contrapose.encoder("wave-net")
def wave_net(width: int = 16, dropout: float = 0.1, norm: bool = True) -> nn.Module:
    """A small net for waves."""
    return Net("wave", width, dropout, norm)


@contrapose.encoder("echo-net")
def echo_net(width: int = 16, dropout: float = 0.1, norm: bool = True) -> nn.Module:
    """A small net for echoes."""
    return Net("echo", width, dropout, norm)


@contrapose.encoder("nan-net")
def nan_net(after: int = 3) -> nn.Module:
    """A net whose output breaks in its ``after``-th training step."""

    class Breaking(Net):
        steps = 0

        def forward(self, data):
            self.steps += self.training
            out = super().forward(data)["pooled"]
            return {"pooled": out * (float("nan") if self.steps >= after else 1.0)}

    return Breaking("wave")


def write_project(folder: Path, samples: int = 48, train: str = "") -> Path:
    """Make a dataset and ``my.yaml`` in ``folder``; give the config's path."""
    import json

    rng = np.random.default_rng(0)
    (folder / "waves").mkdir(parents=True)
    rows = []
    for i in range(samples):
        phase, pitch = rng.uniform(0, 6), 1 + i % 4
        t = np.linspace(0, 6, 32)
        (folder / "waves" / f"{i}.txt").write_text(" ".join(f"{x:.5f}" for x in np.sin(pitch * t + phase)))
        echo = np.cos(pitch * t + phase + 0.3).round(5).tolist()
        row = {"wave": f"waves/{i}.txt", "echo": echo, "pitch": f"p{pitch}", "part": "test" if i % 6 == 5 else "train"}
        if i % 7 == 3:
            row["echo"] = None
        rows.append(row)
    (folder / "things.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    config = folder / "my.yaml"
    config.write_text(f"""\
data: things.jsonl
meta: {{label: pitch}}
split: {{column: part}}
modalities: {{wave: wave, echo: echo}}
views:
  wave: {{use: wobble, sigma: 0.2}}
  echo: hiss
encoders: {{wave: wave-net, echo: echo-net}}
method:
  slots: [query, key]
  branches:
    online: {{views: query, projector: {{use: mlp, out: 8}}}}
    key: {{views: key, of: online, weights: ema, momentum: 0.9}}
  sources:
    queue: {{use: queue, of: key, size: 64}}
  terms:
    info_nce:
      query: online
      keys: [key, queue]
      positives: same(sample) and origin(key)
      denominator: positive or origin(queue)
      loss: nce
      tau: 0.2
train: {{epochs: 4, batch_size: 8, lr: 3e-3, warmup: 1, threads: 1, device: cpu{train}}}
""")
    return config
