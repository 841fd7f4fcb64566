"""A single-file plugin for `contrapose init`: two modalities of files, and one of a table's words."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

import contrapose
from contrapose import DataError
from contrapose.plugins.decorators import mark
from contrapose.types import Suggestion


class Scent:
    """Eight numbers in a .scent file."""

    name = "scent"
    dtype = torch.float32
    extensions = (".scent",)
    view, net = "waft", "nose"

    def load(self, cells, root):
        (cell,) = cells.values()
        try:
            return np.array((root / cell).read_text().split(), dtype=np.float32)
        except (OSError, ValueError) as error:
            raise DataError(f"{cell}: {error}") from error

    def collate(self, items):
        return torch.from_numpy(np.stack(items).astype(np.float32))

    def preview(self, data):
        return {"text/html": f"<pre>{data}</pre>"}

    def suggest(self, columns, root, small):
        for name, values in columns.items():
            if values and all(str(v).endswith(self.extensions) for v in values):
                return Suggestion([name], self.view, self.net)
        return None


class Chord(Scent):
    """The same in .chord files."""

    name = "chord"
    extensions = (".chord",)
    view, net = {"use": "detune", "sigma": 0.2}, {"use": "ear", "width": 8}


class Mood(Scent):
    """Columns of few words, by a vocabulary that is fitted; its two views differ."""

    name = "mood"
    extensions = ()

    def __init__(self):
        self.words = None

    def fit(self, cells, root):
        self.words = sorted({str(v) for row in cells for v in row.values()})

    def facts(self):
        return {"words": len(self.words)} if self.words else {}

    def state_dict(self):
        return {"words": self.words}

    def load_state_dict(self, state):
        self.words = state["words"]

    def load(self, cells, root):
        return np.isin(self.words, [str(v) for v in cells.values()]).astype(np.float32)

    def suggest(self, columns, root, small):
        few = [
            n for n, vs in columns.items() if all(isinstance(v, str) for v in vs) and 1 < len(set(vs)) <= len(vs) / 4
        ]
        return Suggestion(few, {"a": "identity", "b": "swing"}, "gut") if few else None


mark(Scent, "modality", "scent")
mark(Chord, "modality", "chord")
mark(Mood, "modality", "mood")


@contrapose.view("scent")
def waft(data, rng, sigma: float = 0.1):
    """Noise."""
    return data + rng.normal(0, sigma, data.shape)


@contrapose.view("chord")
def detune(data, rng, sigma: float = 0.1):
    """Noise."""
    return data + rng.normal(0, sigma, data.shape)


@contrapose.view("mood")
def swing(data, rng, sigma: float = 0.1):
    """Noise."""
    return data + rng.normal(0, sigma, data.shape)


class Net(nn.Module):
    def __init__(self, modality, inputs, width):
        super().__init__()
        self.modality, self.dims = modality, {"pooled": width}
        self.net = nn.Linear(inputs, width)

    def forward(self, data):
        return {"pooled": self.net(data)}


@contrapose.encoder("nose")
def nose(width: int = 8) -> nn.Module:
    """For scents."""
    return Net("scent", 8, width)


@contrapose.encoder("ear")
def ear(width: int = 4) -> nn.Module:
    """For chords."""
    return Net("chord", 8, width)


@contrapose.encoder("gut")
def gut(words: int, width: int = 8) -> nn.Module:
    """For moods."""
    return Net("mood", words, width)
