"""What ``colour: matrix`` costs in accuracy: SimCLR on CIFAR-10 by either jitter, the same in all else, seed by seed.

python tests/benchmarks/colour_parity.py DATA.parquet [SEEDS]     # the table of examples/data/build_cifar10.py

Trained on three quarters of the training pictures, kNN on the others; the test pictures stay unseen. The budget is that of
docs/methods-table.md, a fifth of a minute a run.
"""

from __future__ import annotations

import math
import statistics
import sys
import tempfile
from pathlib import Path

import pyarrow.parquet as pq
import torch

import contrapose as cp
from contrapose.evaluate.knn import knn


def accuracy(data: Path, colour: str, seed: int, out: Path) -> float:
    """kNN accuracy of one run on the pictures that it was not trained on."""
    view = {"use": "image/simclr-cifar", "size": 32, "batched": True, "colour": colour}
    config = {
        "data": str(data),
        "meta": {"label": "label"},
        "split": {"test": 0.25},
        "modalities": {"image": "image"},
        "views": {"image": view},
        "encoders": {"image": {"use": "image/small", "width": 16}},
        "method": "simclr",
        "evaluate": {"views": {"image": {"use": "image/eval", "size": 32, "crop": 1.0}}},
        "train": {"epochs": 5, "batch_size": 64, "lr": 2e-3, "warmup": 0.5, "threads": 1, "loggers": [], "seed": seed},
    }
    run = cp.train(config, out=out, quiet=True)
    train, test = (run.embed(split, "image", head="pooled")["image"] for split in ("train", "test"))
    near = knn(torch.from_numpy(train.z), train.columns["label"], torch.from_numpy(test.z))
    return float((near == test.columns["label"]).mean())


def main(source: str, seeds: int = 5) -> None:
    """Print the accuracy of each, and the mean difference with its standard error."""
    apart = []
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "train.parquet"
        pq.write_table(pq.read_table(source, filters=[("split", "=", "train")]), data)
        for seed in range(seeds):
            found = {c: accuracy(data, c, seed, Path(folder) / f"{c}-{seed}") for c in ("exact", "matrix")}
            apart.append(100 * (found["matrix"] - found["exact"]))
            print(f"seed {seed}: kNN {100 * found['exact']:.1f} exact, {100 * found['matrix']:.1f} matrix", flush=True)
    error = statistics.stdev(apart) / math.sqrt(seeds)
    print(f"matrix - exact: {statistics.mean(apart):+.2f} points, standard error {error:.2f}, {seeds} seeds")


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
