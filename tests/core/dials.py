"""A single-file plugin for `contrapose search`: a modality of two columns, beside those of `waves.py`."""

from __future__ import annotations

import io

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn

import contrapose
from contrapose import DataError
from contrapose.plugins.decorators import mark


class Dial:
    """Two numbers, of which one may be blank; its preview is a picture."""

    name = "dial"
    dtype = torch.float32

    def load(self, cells, root):
        if any(isinstance(cell, str) for cell in cells.values()):
            raise DataError("a dial shows numbers")
        return np.array([0.0 if cell is None else cell for cell in cells.values()], dtype=np.float32)

    def collate(self, items):
        return torch.from_numpy(np.stack(items).astype(np.float32))

    def preview(self, data):
        file = io.BytesIO()
        plt.imsave(file, np.outer(data, data), format="png")
        return {"image/png": file.getvalue()}


mark(Dial, "modality", "dial")


@contrapose.view("dial")
def turn(data, rng, sigma: float = 0.05):
    """Noise."""
    return data + rng.normal(0, sigma, data.shape)


@contrapose.encoder("dial-net")
def dial_net(width: int = 16) -> nn.Module:
    """A small net for dials."""

    class Net(nn.Module):
        modality, dims = "dial", {"pooled": width}

        def __init__(self):
            super().__init__()
            self.net = nn.Sequential(nn.Linear(2, 32), nn.ReLU(), nn.Linear(32, width))

        def forward(self, data):
            return {"pooled": self.net(data)}

    return Net()
