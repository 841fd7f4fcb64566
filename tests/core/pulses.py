"""A modality nobody has heard of, with a view, an encoder and losses that keep every contract, and ways to break them."""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType
from typing import Any

import numpy as np
import torch
from torch import nn

from contrapose.errors import DataError
from contrapose.losses.head import HeadLoss
from contrapose.losses.sets import VICReg
from contrapose.losses.simple import Cosine
from contrapose.testing import EncoderContract, LossContract, ModalityContract, ViewContract
from contrapose.types import Suggestion, View

LONGEST = 8
PULSES = [{"beat": [float(i * j % 5 - i) for j in range(3 + i)]} for i in range(5)]


class Pulse:
    """Signals of at most 8 numbers, centred on the mean of what it was fitted on."""

    name = "pulse"
    dtype = torch.float32

    def __init__(self, scale: float = 1.0) -> None:
        self.scale, self.mean = scale, np.zeros(1)

    def fit(self, cells, root):
        self.mean = np.concatenate([row["beat"] for row in cells]).mean(keepdims=True)

    def state_dict(self):
        return {"mean": self.mean}

    def load_state_dict(self, state):
        self.mean = state["mean"]

    def facts(self):
        return {"longest": LONGEST, "mean": float(self.mean[0])}

    def load(self, cells, root):
        try:
            return ((np.array(cells["beat"], dtype=np.float64) - self.mean) * self.scale).astype(np.float32)
        except (TypeError, ValueError) as error:
            raise DataError(f"a beat is a list of numbers: {error}") from error

    def collate(self, items):
        x, known = torch.zeros(len(items), LONGEST), torch.zeros(len(items), LONGEST, dtype=torch.bool)
        for i, item in enumerate(items):
            x[i, : len(item)], known[i, : len(item)] = torch.from_numpy(item), True
        return {"x": x, "known": known}

    def lengths(self, items):
        return [len(item) for item in items]

    def preview(self, data):
        return {"text/plain": " ".join(f"{x:.1f}" for x in data)}

    def suggest(self, columns, root, small):
        mine = [name for name, values in columns.items() if all(isinstance(v, list) for v in values)]
        return Suggestion(mine[:1], {"use": "pulse-noise", "share": 0.3}, "pulse-net") if mine else None


class Noise:
    """A share of the numbers, drawn one by one, moves as far as the numbers it was fitted on do."""

    modality = "pulse"

    def __init__(self, share: float = 0.5) -> None:
        self.share, self.scale = share, torch.ones(1)

    def fit(self, samples):
        self.scale = torch.from_numpy(np.concatenate([s.data["pulse"] for s in samples])).std().reshape(1)

    def state_dict(self):
        return {"scale": self.scale}

    def load_state_dict(self, state):
        self.scale = state["scale"]

    def __call__(self, sample, rng):
        x = sample.data["pulse"]
        moved = rng.random(len(x)) < self.share
        return [View("", "pulse", (x + moved * rng.normal(0, self.scale.item(), len(x))).astype(np.float32))]

    def batched(self, data, generator):
        x, known = data["x"], data["known"]
        moved = known & (torch.rand(x.shape, generator=generator) < self.share)
        return {"x": x + moved * self.scale * torch.randn(x.shape, generator=generator), "known": known}


class Net(nn.Module):
    """A small network with BatchNorm and dropout."""

    modality = "pulse"

    def __init__(self, longest: int, width: int = 4) -> None:
        super().__init__()
        self.dims = {"pooled": width, "dense": width}
        self.first, self.norm, self.drop = nn.Linear(longest, width), nn.BatchNorm1d(width), nn.Dropout(0.2)
        self.each = nn.Linear(1, width)

    def forward(self, data):
        x = data["x"]
        return {"pooled": self.drop(torch.relu(self.norm(self.first(x)))), "dense": self.each(x[..., None])}


class PulseContract(ModalityContract):
    component, cells, broken = Pulse, PULSES, [{"beat": ["no", "number"]}]


class NoiseContract(ViewContract):
    component, modality, cells = Noise, Pulse, PULSES


class NetContract(EncoderContract):
    component, modality, cells = Net, Pulse, PULSES


class CosineContract(LossContract):
    component = Cosine


class SetContract(LossContract):
    component = VICReg


class Far(HeadLoss):
    """The mean square of a linear map of the rows."""

    def setup(self, query, dim):
        self.layer = nn.Linear(dim, 1)

    def forward(self, out, batch):
        rows = out.rows("online")
        return out.mean(self.layer(rows.z).square().mean(-1), rows.z.new_ones(len(rows)))


class HeadLossContract(LossContract):
    component = Far


def but(good: type, **changes: Any) -> type:
    """A class with something changed."""
    for name, change in changes.items():
        if isinstance(change, FunctionType):
            change.__name__ = name  # a bound method is pickled by its name
    return type(good.__name__, (good,), {"__doc__": good.__doc__, "__module__": good.__module__, **changes})


def without(good: type, name: str) -> type:
    """A class that lacks what it defines itself; to Python 3.12 an empty property would be there."""
    left = {k: v for k, v in vars(good).items() if k not in (name, "__dict__", "__weakref__")}
    return type(good.__name__, good.__bases__, left)


def after(good: type, method: str, change: Callable[..., Any]) -> type:
    """A class whose method's result goes through ``change(self, result, *arguments)``."""
    return but(good, **{method: lambda self, *a: change(self, getattr(good, method)(self, *a), *a)})


def before(good: type, method: str, change: Callable[..., Any]) -> type:
    """A class that does ``change(self, *arguments)`` before its method."""

    def do(self: Any, *a: Any) -> Any:
        change(self, *a)
        return getattr(good, method)(self, *a)

    return but(good, **{method: do})


def fail(error: Exception) -> Callable[..., Any]:
    def do(*a: Any) -> Any:
        raise error

    return do
