"""What was tried before a run of longer patience, by rows held out of the training part; no test row is read.

python examples/tabular_scarf/tried.py wdbc vowel        # the first split of these tables; docs/figures/tabular-scarf-tried.json

A fifth of the training rows stands in for the test rows. One pretraining, of at most 1500 steps, gives the weights that a patience
of 3 and of 10 would have kept, and the best of all; from each, and from scratch, the network is fine-tuned.
"""

from __future__ import annotations

import argparse
import copy
import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch
from classify import Classifier, Part, as_labelled
from protocol import DATA, config_of, parts_of, table
from scarf_page import TRIED
from sklearn.model_selection import train_test_split
from torch import Tensor, nn
from torch.nn import functional as F

import contrapose as cp
from contrapose.engine.build import Parts

BATCH, STEPS, EPOCHS = 128, 1500, 300
PATIENCE = (3, 10)
RULES = {"loss": 0, "accuracy": 1}
Data = Mapping[str, Tensor]


def take(data: Data, rows: Tensor) -> dict[str, Tensor]:
    """These rows."""
    return {name: values[rows] for name, values in data.items()}


def info_nce(encoder: nn.Module, head: nn.Module, rows: Data, corrupted: Data) -> Tensor:
    """Algorithm 1 of the paper, at temperature 1: each row is to find its own corruption among those of the batch."""
    za, zb = (F.normalize(head(encoder(data)["pooled"]), dim=1) for data in (rows, corrupted))
    return F.cross_entropy(za @ zb.T, torch.arange(len(za)))


def pretrain(
    encoder: nn.Module, run: Parts, train: Data, val: Data, seed: int
) -> tuple[dict[str, nn.Module], list[float], dict[int, int]]:
    """Encoders by what would have stopped them, the validation losses, and after how many epochs each patience stops."""
    view = run.plan.generators["tabular.corrupted"]
    draw = torch.Generator().manual_seed(seed)
    torch.manual_seed(1000 + seed)
    head = nn.Sequential(nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 256))
    optimizer = torch.optim.Adam([*encoder.parameters(), *head.parameters()], 1e-3)

    rows, size = len(train["numeric"]), min(BATCH, len(train["numeric"]))
    passes = 10 if len(val["numeric"]) < 300 else 3
    static = [
        (part, view.batched(part, draw))
        for _ in range(passes)
        for part in (take(val, picked) for picked in torch.randperm(len(val["numeric"]), generator=draw).split(size))
    ]
    losses: list[float] = []
    found: dict[str, nn.Module] = {}
    stops: dict[int, int] = {}
    best, at = encoder, 0
    for epoch in range(min(EPOCHS, -(-STEPS // (rows // size)))):
        for picked in torch.randperm(rows, generator=draw).split(size):
            if len(picked) == size:
                part = take(train, picked)
                optimizer.zero_grad()
                info_nce(encoder, head, part, view.batched(part, draw)).backward()
                optimizer.step()
        with torch.no_grad():
            total = sum(len(a["numeric"]) * float(info_nce(encoder, head, a, b)) for a, b in static)
        losses.append(total / (passes * len(val["numeric"])))
        if losses[-1] == min(losses):
            best, at = copy.deepcopy(encoder), epoch
        for patience in PATIENCE:
            if epoch - at >= patience and patience not in stops:
                stops[patience], found[f"patience {patience}"] = epoch + 1, best
    for patience in PATIENCE:
        if patience not in stops:
            stops[patience], found[f"patience {patience}"] = len(losses), best
    return {**found, "least": best}, losses, stops


def finetune(encoder: nn.Module, train: Part, val: Part, held: Part, classes: int, seed: int) -> dict[str, float]:
    """Accuracy on the rows held out, in per cent, by what validation measure ends training after 3 epochs without a better one."""
    torch.manual_seed(seed)
    net = Classifier(copy.deepcopy(encoder), 256, classes).train()
    optimizer = torch.optim.Adam(net.parameters(), 1e-3)
    labels, said = torch.from_numpy(train.labels), torch.from_numpy(val.labels)
    curve: list[tuple[float, float, float]] = []
    while len(curve) < 80 and not all(_since([of[n] for of in curve]) >= 5 for n in RULES.values()):
        for picked in torch.randperm(len(labels)).split(BATCH):
            optimizer.zero_grad()
            F.cross_entropy(net(take(train.data, picked)), labels[picked]).backward()
            optimizer.step()
        with torch.no_grad():
            logits, there = net(val.data), net(held.data).argmax(1)
            wrong = float((logits.argmax(1) != said).float().mean())
            right = float((there == torch.from_numpy(held.labels)).float().mean())
            curve.append((float(F.cross_entropy(logits, said)), wrong, right))
    return stopped(curve)


def stopped(curve: list[tuple[float, float, float]]) -> dict[str, float]:
    """The accuracy where each rule stops, of epochs' (validation loss, share wrong, accuracy)."""
    found = {}
    for rule, n in RULES.items():
        measured = [of[n] for of in curve]
        end = next((e for e in range(len(curve)) if _since(measured[: e + 1]) >= 3), len(curve) - 1)
        best = min(range(end + 1), key=lambda e: measured[e])
        found[rule] = round(100 * curve[best][2], 2)
    return found


def _since(measured: list[float]) -> int:
    return len(measured) - 1 - measured.index(min(measured)) if measured else 0


def try_out(name: str, split: int = 0) -> dict[str, Any]:
    """All of it on a table."""
    said, path = table(), DATA / f"{name}.parquet"
    columns = [c for c in pq.read_schema(path).names if c.startswith("x")]
    run = Parts(cp.Config.of(config_of(path, columns, split, said)))
    parts = parts_of(run)
    whole, val = parts["train"], parts["val"]
    kept, out = train_test_split(np.arange(len(whole.labels)), test_size=0.2, random_state=split, stratify=whole.labels)
    train, held = (whole.take(np.sort(rows), whole.labels[np.sort(rows)]) for rows in (kept, out))
    start = run.make_method().encoders["tabular"]
    encoders, losses, stops = pretrain(copy.deepcopy(start), run, train.data, val.data, split)
    classes = int(max(part.labels.max() for part in (train, val, held))) + 1
    found: dict[str, Any] = {}
    for setting in ("full", "quarter"):
        train_of, val_of = (
            as_labelled(part, np.random.default_rng([split, n]), **said["settings"][setting])
            for n, part in enumerate((train, val))
        )
        found[setting] = {
            of: finetune(encoder, train_of, val_of, held, classes, split)
            for of, encoder in {"scratch": start, **encoders}.items()
        }
    least = losses.index(min(losses)) + 1
    epoch = len(train.labels) // min(BATCH, len(train.labels))
    return {
        "steps": epoch,
        "epochs": {**{str(p): e for p, e in stops.items()}, "least": least, "all": len(losses)},
        "accuracy": found,
    }


def main() -> None:
    """Try tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("datasets", nargs="+")
    args = parser.parse_args()
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", message=".*isn't in the training split")
    for name in args.datasets:
        found = json.loads(TRIED.read_text()) if Path(TRIED).exists() else {}
        TRIED.write_text(json.dumps({**found, name: try_out(name)}, indent=1) + "\n")
        print(name, flush=True)


if __name__ == "__main__":
    main()
