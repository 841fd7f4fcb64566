"""How the camera moves, told from clips without labels: CVRL beside frames, labels, clouds of depth, and hand-made features.

python examples/vizdoom/motions.py                        # all that lack a result, seeds 0 to 2; then motions_page.py --collect
python examples/vizdoom/motions.py cvrl --seeds 0         # this row alone
python examples/vizdoom/motions.py --split inner          # for choosing: train and valid, both of the train side

A row's runs are in ``runs/vizdoom/SPLIT/NAME.json``; what is there isn't run again, unless its config has changed.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.append(str(HERE.parent))
import resumed  # noqa: E402

TABLE, RESULTS = HERE / "table.yaml", Path("runs/vizdoom")
SPLITS = {"split": ("train", "test"), "inner": ("train", "valid")}
TREES = 300


def table() -> dict[str, Any]:
    """``table.yaml``."""
    return resumed.parsed(TABLE)


def rows(said: dict[str, Any]) -> list[str]:
    """All rows of the page, in the order in which they are run."""
    return ["forests", *said["methods"]]


def config_of(name: str, said: dict[str, Any], seed: int, split: str = "split") -> dict[str, Any]:
    """What decides a run: the base and what the row changes, where null takes a key away; of the forests their size."""
    from contrapose.engine.recipe import lay_over

    if name == "forests":
        return {"trees": TREES, "data": said["base"]["data"], "split": split, "seed": seed}
    config: dict[str, Any] = _without_null(lay_over(said["base"], said["methods"][name]))
    return config | {"split": {"column": split}, "train": {**config["train"], "seed": seed}}


def _without_null(node: Any) -> Any:
    if not isinstance(node, dict):
        return node
    return {key: _without_null(value) for key, value in node.items() if value is not None}


def digest(name: str, said: dict[str, Any], seed: int, split: str = "split") -> str:
    """A run's config in eight letters."""
    return resumed.digest(config_of(name, said, seed, split))


def forests(config: dict[str, Any]) -> dict[str, Any]:
    """Random forests on each kind of hand-made features."""
    import numpy as np
    import pyarrow.parquet as pq
    from motion_forests import FORESTS
    from motion_views import decoded
    from sklearn.ensemble import RandomForestClassifier

    read = pq.read_table(config["data"], columns=["video", "motion", config["split"]])
    clips = [decoded(cell).source for cell in read["video"].to_pylist()]
    motion, sides = np.asarray(read["motion"]), np.asarray(read[config["split"]])
    train, test = (sides == side for side in SPLITS[config["split"]])
    readings = {}
    for key, described in FORESTS.items():
        x = np.stack([described(clip) for clip in clips])
        trees = RandomForestClassifier(config["trees"], random_state=config["seed"]).fit(x[train], motion[train])
        readings[key] = float((trees.predict(x[test]) == motion[test]).mean())
    return readings


def trained(name: str, config: dict[str, Any]) -> dict[str, Any]:
    """Train (or not) and read the frozen ``pooled`` features of the last epoch; of clouds, retrieval by ``projected`` too."""
    import torch

    import contrapose as cp
    from contrapose.engine.build import Parts
    from contrapose.engine.run import Run
    from contrapose.evaluate.geometry import effective_rank
    from contrapose.evaluate.knn import knn
    from contrapose.evaluate.linear import probe

    began, modality = time.process_time(), next(iter(config["encoders"]))
    with tempfile.TemporaryDirectory() as folder:
        if name == "untrained":
            run = Run(Path(folder), Parts(cp.Config.of(config))).untrained()
        else:
            run = cp.train(config, out=Path(folder) / "run", quiet=True)
        seconds = time.process_time() - began
        sides = SPLITS[config["split"]["column"]]
        train, test = (run.embed(side, modality, head="pooled")[modality] for side in sides)
        found = retrieved(run.embed(sides[1])) if name == "clouds" else {}
    labels, wanted = train.columns["label"], test.columns["label"]
    near = knn(torch.from_numpy(train.z), labels, torch.from_numpy(test.z))
    fit = probe("linear", train.z, labels, test.z, groups=train.columns["group"], seed=config["train"]["seed"])
    return {
        "knn": float((near == wanted).mean()),
        "linear": float((fit.predicted == wanted).mean()),
        "C": fit.C,
        "rank": effective_rank(torch.from_numpy(test.z)),
        "seconds": seconds,
        **found,
    }


def retrieved(embedded: Any) -> dict[str, float]:
    """R@1 and R@10 each way among all clips; and R@1 among the seven clips of a start, where the scene is the same."""
    import numpy as np
    import torch

    from contrapose.evaluate.retrieval import ranks

    sides = {"video": embedded["video"], "cloud": embedded["pointcloud"]}
    starts = sides["video"].columns["start"]
    readings = {}
    for a, b in (("video", "cloud"), ("cloud", "video")):
        query, gallery = torch.from_numpy(sides[a].z), torch.from_numpy(sides[b].z)
        ids = np.arange(len(query))
        found = ranks(query, gallery, ids, ids)
        readings |= {f"{a} to {b} R@{k}": float(found.recall(k).mean()) for k in (1, 10)}
        within = [
            ranks(query[own], gallery[own], own, own).recall(1) for own in (ids[starts == s] for s in np.unique(starts))
        ]
        readings[f"{a} to {b} of a start"] = float(np.concatenate(within).mean())
    return {**readings, "gallery": len(starts)}


def one(name: str, said: dict[str, Any], seed: int, split: str) -> dict[str, Any]:
    """A run of a row."""
    config = config_of(name, said, seed, split)
    return forests(config) if name == "forests" else trained(name, config)


def file_of(name: str, split: str) -> Path:
    """Where a row's runs are kept."""
    return RESULTS / split / f"{name}.json"


def work(names: list[str], seeds: list[int], split: str) -> None:
    """Run what lacks, a seed of all rows before the next seed; write a row's file after each run."""
    import torch

    from contrapose.plugins import registry

    torch.set_num_threads(1)
    registry().load_file(HERE / "motion_views.py")
    said = table()
    resumed.work(
        names,
        seeds,
        lambda name: file_of(name, split),
        lambda name, seed: digest(name, said, seed, split),
        lambda name, seed: one(name, said, seed, split),
    )


def main() -> None:
    """Run what lacks a result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="*")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--split", choices=list(SPLITS), default="split")
    args = parser.parse_args()
    resumed.on_one_thread()
    said = table()
    if not Path(said["base"]["data"]).exists():
        subprocess.run([sys.executable, HERE.parent / "data/build_vizdoom.py", "-o", said["base"]["data"]], check=True)
    work(args.rows or rows(said), args.seeds, args.split)


if __name__ == "__main__":
    main()
