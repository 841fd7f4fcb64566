"""Good components of the kinds that aren't of a modality's, each under its contract: what mutants are made of."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from tests.end_to_end import waves
from torch import nn

from contrapose.errors import DataError
from contrapose.evaluate.builtin import nearest_neighbours
from contrapose.evaluate.scores import Embedded, Score
from contrapose.relations.annotate import VonMises
from contrapose.relations.assign import Softmax
from contrapose.relations.mining import TopK
from contrapose.sources.prototypes import Prototypes
from contrapose.sources.queue import Queue
from contrapose.testing import (
    EvaluatorContract,
    HeadContract,
    MethodContract,
    MixerContract,
    ReaderContract,
    RelationContract,
    SourceContract,
)
from contrapose.types import Sample
from contrapose.views import Mix


class Lens(nn.Module):
    """A projector with BatchNorm."""

    def __init__(self, dim: int, out: int = 3) -> None:
        super().__init__()
        self.first, self.norm, self.last = nn.Linear(dim, 6, bias=False), nn.BatchNorm1d(6), nn.Linear(6, out)
        self.out = out

    def forward(self, x):
        rows = x.flatten(0, -2)
        return self.last(torch.relu(self.norm(self.first(rows)))).unflatten(0, x.shape[:-1])


class Shelf:
    """Signals in memory, of which the third can't be read."""

    def __init__(self, count: int = 5) -> None:
        if count < 0:
            raise DataError(f"a shelf of {count} things")
        self.ids = np.arange(count)

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, position):
        number = int(self.ids[position])
        if number == 2:
            raise DataError("thing 2 is broken")
        return Sample(number, {"wave": np.full(4, number, dtype=np.float32)}, {"label": number % 2})

    def subset(self, positions):
        part = type(self)()
        part.ids = self.ids[np.asarray(positions, dtype=np.int64)]
        return part

    def fingerprint(self) -> str:
        return repr(self.ids.tolist())


def neighbours(embedded: Embedded) -> list[Score]:
    """Accuracy of the nearest neighbours."""
    return nearest_neighbours(embedded)


HEAD = {"use": "mlp", "hidden": 6, "out": 4}
TINY: dict[str, Any] = {
    "branches": {"online": {"views": "*", "projector": HEAD}},
    "terms": {"it": {"query": "online", "keys": ["online"]}},
}


class LensContract(HeadContract):
    component = Lens


class AssignContract(RelationContract):
    component = Softmax
    arguments = {"of": "other", "to": "prototypes"}


class MineContract(RelationContract):
    component = TopK
    arguments = {"query": "online", "keys": ["other", "queue"], "count": 2}


class WeighContract(RelationContract):
    component = VonMises
    arguments = {"query": "online", "key": "other"}


class QueueContract(SourceContract):
    component = Queue
    arguments = {"of": "key", "size": 6}


class PrototypesContract(SourceContract):
    component = Prototypes
    arguments = {"of": "key", "count": 4}


class ShelfContract(ReaderContract):
    component = Shelf
    broken = (2,)
    damaged = ({"count": -1},)


class NeighboursContract(EvaluatorContract):
    component = neighbours


class TinyContract(MethodContract):
    component = TINY


class MixContract(MixerContract):
    component, modality = Mix, waves.Echo
    cells = [{"echo": (np.cos(pitch * np.linspace(0, 6, 32)) * pitch).astype(np.float32)} for pitch in range(1, 6)]
