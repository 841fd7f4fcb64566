"""Does pretraining tell rooms better than the untrained network? By folds of the demo's train split.

python examples/rooms.py          # 3 folds x 3 seeds, five minutes each on one core; what is there isn't run again
python examples/rooms.py --write  # then docs/figures/rooms.json

The reading was chosen elsewhere, on the demo's test split, and fixed before the first of these runs: kNN ``each → itself`` (a
piece by its own modality in the shared space, the mean over the modalities that it has), over the pieces of all folds, gain over
the untrained network of the same seed and fold, paired bootstrap over groups of near-duplicates. The config is the demo's, whole.
Each fold trains on three quarters of all pieces, the demo's test pieces among them, and is scored on the quarter left; the demo's
own split is the fourth fold.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from sklearn.model_selection import StratifiedGroupKFold

import contrapose as cp
from contrapose.evaluate.bootstrap import interval, resample
from contrapose.evaluate.builtin import nearest_neighbours
from contrapose.evaluate.evaluate import embedded

HERE = Path(__file__).parent
CONFIG, DATA = HERE / "furniture.yaml", HERE / "data/furniture/furniture.parquet"
FIGURES = HERE.parent / "docs/figures/rooms.json"
OUT = Path("runs/rooms")
FOLDS, READING = 3, "each → itself"


def fold(number: int, out: Path) -> Path:
    """The furniture with another split: fold ``number`` of its train pieces is the test side, all others are for training."""
    table = pq.read_table(DATA)
    train = np.flatnonzero(np.asarray(table["split"]) == "train")
    groups, rooms = (np.asarray(table[name])[train] for name in ("group", "room"))
    dealt = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=0).split(train, rooms, groups)
    split = np.full(len(table), "train", dtype=object)
    split[train[list(dealt)[number][1]]] = "test"
    place = table.schema.get_field_index("split")
    pq.write_table(table.set_column(place, "split", pa.array(split, pa.string())), out)
    return out


def one(number: int, seed: int) -> dict[str, Any]:
    """Train on a fold and read it."""
    with tempfile.TemporaryDirectory() as folder:
        data = fold(number, Path(folder) / "furniture.parquet")
        run = cp.train(CONFIG, set=[f"data={data}", f"train.seed={seed}"], out=Path(folder) / "run")
        return {"fold": number, "seed": seed, "readings": read(run, seed)}


def read(run: cp.Run, seed: int) -> dict[str, Any]:
    """By kind of reading, each test piece's score trained and untrained, and the piece's group."""
    trained, untrained = (nearest_neighbours(embedded(r, "test", seed)) for r in (run, run.untrained()))
    readings = {}
    for score, base in zip(trained, untrained, strict=True):
        assert score.queries is not None
        assert score.queries.groups is not None
        readings[score.of] = {
            "groups": score.queries.groups.tolist(),
            "trained": np.asarray(score.values).tolist(),
            "untrained": np.asarray(base.values).tolist(),
        }
    return readings


def pooled(runs: list[dict[str, Any]], of: str) -> dict[str, Any]:
    """A reading over all folds: for each seed, and for the mean over seeds, both accuracies and the interval of the gain."""
    seeds = sorted({run["seed"] for run in runs})
    by_seed = [sorted((r for r in runs if r["seed"] == seed), key=lambda r: int(r["fold"])) for seed in seeds]
    groups = np.concatenate([run["readings"][of]["groups"] for run in by_seed[0]])
    trained, untrained = (
        np.stack([np.concatenate([run["readings"][of][which] for run in some]) for some in by_seed])
        for which in ("trained", "untrained")
    )

    def gain(of_seeds: slice) -> tuple[float, float]:
        return interval(resample((trained - untrained)[of_seeds].mean(axis=0, keepdims=True), groups)[0])

    return {
        "of": of,
        "pieces": trained.shape[1],
        "trained": trained.mean(axis=1).tolist(),
        "untrained": untrained.mean(axis=1).tolist(),
        "gain": gain(slice(None)),
        "gain by seed": [gain(slice(n, n + 1)) for n in range(len(seeds))],
    }


def main() -> None:
    """Run what lacks a result, and tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--write", action="store_true", help="write docs/figures/rooms.json")
    args = parser.parse_args()
    OUT.mkdir(parents=True, exist_ok=True)
    runs = []
    for seed in args.seeds:
        for number in range(FOLDS):
            file = OUT / f"fold-{number}-seed-{seed}.json"
            if not file.exists():
                file.write_text(json.dumps(one(number, seed)))
            runs.append(json.loads(file.read_text()))
    found = [pooled(runs, of) for of in runs[0]["readings"]]
    for row in found:
        by_seed = ", ".join(f"{100 * low:+.1f}" for low, _ in row["gain by seed"])
        both = " against ".join(f"{100 * np.mean(row[which]):.1f}" for which in ("trained", "untrained"))
        print(f"{row['of']:28} {both}  gain from {100 * row['gain'][0]:+.1f}  (by seed {by_seed})")
    if args.write:
        kept = [row for row in found if row["of"] == READING or row["of"] in {f"{m} → {m}" for m in _modalities()}]
        FIGURES.write_text(
            json.dumps({"folds": FOLDS, "seeds": args.seeds, "readings": kept}, indent=1, ensure_ascii=False) + "\n"
        )


def _modalities() -> list[str]:
    return list(cp.Config.load(CONFIG).run.modalities)


if __name__ == "__main__":
    main()
