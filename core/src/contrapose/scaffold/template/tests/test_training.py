"""The example trains, and comes to tell waves apart by where they come from, which it is never told."""

from pathlib import Path

import contrapose as cp
import numpy as np

EXAMPLE = Path(__file__).parents[1] / "example.yaml"


def accuracy(run: cp.Run) -> float:
    """How often the nearest training grid bears the same label."""
    train, test = (run.embed(part)["my_modality"] for part in ("train", "test"))
    a, b = (z / np.linalg.norm(z, axis=1, keepdims=True) for z in (test.z, train.z))
    return float((test.columns["label"] == train.columns["label"][(a @ b.T).argmax(1)]).mean())


def test_the_example_learns(tmp_path: Path) -> None:
    run = cp.train(EXAMPLE, set=["train.epochs=8", "train.threads=1"], out=tmp_path / "run", quiet=True)
    assert accuracy(run) > accuracy(run.untrained()) + 0.1
