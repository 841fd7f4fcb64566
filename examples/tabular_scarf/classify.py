"""Classifiers of rows: the network with a head, fine-tuned."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

Labels = NDArray[np.int64]


@dataclass(frozen=True)
class Part:
    """Rows with their classes: ``data`` as the tabular modality collates them, ``labels`` (n,) int64."""

    data: Mapping[str, Tensor]
    labels: Labels

    def take(self, rows: NDArray[np.int64], labels: Labels) -> Part:
        """These rows with these labels."""
        picked = torch.from_numpy(rows)
        return Part({name: values[picked] for name, values in self.data.items()}, labels)


def as_labelled(part: Part, rng: np.random.Generator, labels: float = 1.0, noise: float = 0.0) -> Part:
    """What of a part has labels, and which: a share ``labels`` of each class, a share ``noise`` of the rows with another class."""
    classes = np.unique(part.labels)
    rows = np.arange(len(part.labels))
    if labels < 1:
        of_class = [rng.permutation(rows[part.labels == c]) for c in classes]
        rows = np.sort(np.concatenate([of[: max(1, round(labels * len(of)))] for of in of_class]))
    said = part.labels[rows].copy()
    wrong = rng.permutation(len(rows))[: round(noise * len(rows))]
    for row in wrong:
        said[row] = rng.choice(classes[classes != said[row]])
    return part.take(rows, said)


def finetune(encoder: nn.Module, train: Part, val: Part, classes: int, seed: int, said: Mapping[str, Any]) -> nn.Module:
    """Train all weights of a copy of ``encoder`` and a head by cross-entropy; the weights of the least validation loss.

    ``said`` is ``finetune`` of table.yaml. Two encoders get the same head and the same batches by the same seed.
    """
    torch.manual_seed(seed)
    net = Classifier(copy.deepcopy(encoder), said["hidden"], classes).train()
    optimizer = torch.optim.Adam(net.parameters(), said["lr"], weight_decay=0)
    labels, rows = torch.from_numpy(train.labels), len(train.labels)
    best, least, since = copy.deepcopy(net.state_dict()), float("inf"), 0
    for _ in range(said["epochs"]):
        for picked in torch.randperm(rows).split(said["batch_size"]):
            loss = F.cross_entropy(net({k: v[picked] for k, v in train.data.items()}), labels[picked])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        with torch.no_grad():
            now = float(F.cross_entropy(net(val.data), torch.from_numpy(val.labels)))
        since = 0 if now < least else since + 1
        if since == 0:
            best, least = copy.deepcopy(net.state_dict()), now
        if since == said["patience"]:
            break
    net.load_state_dict(best)
    return net.eval()


class Classifier(nn.Module):
    """An encoder's ``pooled`` and a head with one hidden layer; logits (n, classes)."""

    def __init__(self, encoder: nn.Module, hidden: int, classes: int) -> None:
        super().__init__()
        self.encoder = encoder
        width = encoder.dims["pooled"]
        self.head = nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, classes))

    def forward(self, data: Mapping[str, Tensor]) -> Tensor:
        """Rows to logits."""
        logits: Tensor = self.head(self.encoder(data)["pooled"])
        return logits


@torch.no_grad()
def accuracy(net: nn.Module, test: Part) -> float:
    """Share of the rows whose likeliest class is theirs."""
    return float((net(test.data).argmax(1).numpy() == test.labels).mean())
