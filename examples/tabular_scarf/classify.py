"""Classifiers of rows: the network with a head, fine-tuned, and two that need no network."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn
from torch.nn import functional as F

Labels = NDArray[np.int64]
ENDS = ("error", "error, last", "loss", "loss, last")
"""Fine-tuning ends where the validation rows' classification error was no lower for some epochs, or their loss; kept are the
weights of the lowest, or the last ones."""


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


def finetune(
    encoder: nn.Module, train: Part, val: Part, classes: int, seed: int, said: Mapping[str, Any]
) -> dict[str, nn.Module]:
    """Train all weights of a copy of ``encoder`` and a head by cross-entropy; the networks by what ended training, of ``ENDS``.

    ``said`` is ``finetune`` of table.yaml. Two encoders get the same head and the same batches by the same seed.
    """
    torch.manual_seed(seed)
    net = Classifier(copy.deepcopy(encoder), said["hidden"], classes).train()
    optimizer = torch.optim.Adam(net.parameters(), said["lr"], weight_decay=0)
    labels, right, rows = torch.from_numpy(train.labels), torch.from_numpy(val.labels), len(train.labels)
    found: dict[str, nn.Module] = {}
    least, since = {"error": float("inf"), "loss": float("inf")}, {"error": 0, "loss": 0}
    for epoch in range(said["epochs"]):
        for picked in torch.randperm(rows).split(said["batch_size"]):
            loss = F.cross_entropy(net({k: v[picked] for k, v in train.data.items()}), labels[picked])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        with torch.no_grad():
            logits = net(val.data)
        now = {
            "error": float((logits.argmax(1) != right).float().mean()),
            "loss": float(F.cross_entropy(logits, right)),
        }
        for end in [end for end in now if f"{end}, last" not in found]:
            since[end] = 0 if now[end] < least[end] else since[end] + 1
            if since[end] == 0:
                found[end], least[end] = copy.deepcopy(net).eval(), now[end]
            if since[end] == said["patience"] or epoch + 1 == said["epochs"]:
                found[f"{end}, last"] = copy.deepcopy(net).eval()
        if found.keys() == set(ENDS):
            break
    return found


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


def logistic(train: Part, test: Part, sizes: list[int]) -> float:
    """Accuracy of scikit-learn's logistic regression on what the network reads: numbers, their missing masks, one-hot words."""
    model = LogisticRegression(max_iter=2000).fit(_one_hot(train, sizes), train.labels)
    return float((model.predict(_one_hot(test, sizes)) == test.labels).mean())


def trees(train: Part, test: Part, sizes: list[int], seed: int) -> float:
    """Accuracy of scikit-learn's gradient-boosted trees with all defaults, blanks as blanks and words as categories."""
    numbers = train.data["numeric"].shape[1]
    words = [numbers + n for n in range(len(sizes))]
    model = HistGradientBoostingClassifier(categorical_features=words or None, random_state=seed)
    model.fit(_columns(train), train.labels)
    return float((model.predict(_columns(test)) == test.labels).mean())


def _columns(part: Part) -> NDArray[np.float32]:
    return np.concatenate([part.data["numeric"].numpy(), part.data["categories"].numpy().astype(np.float32)], 1)


def _one_hot(part: Part, sizes: list[int]) -> NDArray[np.float32]:
    numeric, codes = part.data["numeric"], part.data["categories"]
    hot = [F.one_hot(codes[:, n], size).float() for n, size in enumerate(sizes)]
    return torch.cat([numeric.nan_to_num(0.0), numeric.isnan().float(), *hot], 1).numpy()
