"""Retrieval between clouds, pictures, names and measures of furniture: CrossPoint, ULIP-like, hub, all pairs, and each pair alone.

python examples/furniture_pairs/pairs.py                          # 5 seeds of all methods and baselines that lack a result
python examples/furniture_pairs/pairs.py graph hub --seeds 0      # these methods, this seed
python examples/furniture_pairs/show.py --collect                 # then docs/figures/furniture-pairs.json and docs/furniture.md

Each run leaves ``runs/furniture-pairs/NAME-SEED.json``: for each test piece its rank in each direction, and whether a linear SVM on
clouds told its class. What is there, of the config as it is, isn't run again.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
TABLE = HERE / "table.yaml"
RESULTS = Path("runs/furniture-pairs")
SEEDS = [0, 1, 2, 3, 4]
NOUNS = 10
"""A head noun is a class where so many pieces have it."""
BASELINES = ("untrained", "hand")


def table() -> dict[str, Any]:
    """``table.yaml``."""
    from contrapose.config.yaml import parse

    found: dict[str, Any] = parse(TABLE.read_text("utf-8"), str(TABLE)).data
    return found


def config_of(name: str, said: dict[str, Any], seed: int) -> dict[str, Any]:
    """The config of one run: of the base, the modalities that the method names."""
    node = said["methods"]["graph" if name == "untrained" else name]
    config = {**said["base"], "method": node["method"], "train": {**said["base"]["train"], "seed": seed}}
    for section in ("modalities", "views", "encoders"):
        config[section] = {m: said["base"][section][m] for m in node["of"]}
    if "settled" in node:
        run = str(RESULTS / f"{node['settled']['run']}-{seed}")
        config["encoders"] |= {m: {"use": "settled", "modality": m, "run": run} for m in node["settled"]["modalities"]}
    return config


def digest(name: str, said: dict[str, Any], seed: int) -> str:
    """A run's config in eight letters, that of the run which it begins with included."""
    if name == "hand":
        from hand import SETTINGS

        return hashlib.sha256(json.dumps([said["base"]["data"], *SETTINGS, seed]).encode()).hexdigest()[:8]
    configs = [config_of(name, said, seed)]
    if settled := said["methods"].get(name, {}).get("settled"):
        configs.append(config_of(settled["run"], said, seed))
    return hashlib.sha256(json.dumps(configs, sort_keys=True).encode()).hexdigest()[:8]


def file_of(name: str, seed: int) -> Path:
    """Where a run's result is."""
    return RESULTS / f"{name}-{seed}.json"


def known(name: str, said: dict[str, Any], seed: int) -> dict[str, Any] | None:
    """The result of a run, if there is one of the config as it is."""
    file = file_of(name, seed)
    found: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
    return found if found.get("config") == digest(name, said, seed) else None


def one(name: str, said: dict[str, Any], seed: int) -> dict[str, Any]:
    """Train, or don't, and measure on the test split: ``ranks``, and ``svm`` where there are clouds."""
    import contrapose as cp
    from contrapose.engine.build import Parts
    from contrapose.engine.run import Run

    if name == "hand":
        from hand import measure

        return measure(said["base"]["data"], seed)
    config = cp.Config.of(config_of(name, said, seed))
    folder = RESULTS / f"{name}-{seed}"
    if name == "untrained":
        run = Run(folder, Parts(config)).untrained()
    else:
        shutil.rmtree(folder, ignore_errors=True)
        run = cp.train(config, out=folder, quiet=True)
    found = {
        "ranks": ranked(spaces(name, said, seed, run)),
        "svm": classified(run, seed) if "pointcloud" in config.run.encoders else {},
    }
    if name not in {node["settled"]["run"] for node in said["methods"].values() if "settled" in node}:
        shutil.rmtree(folder, ignore_errors=True)
    return found


def spaces(name: str, said: dict[str, Any], seed: int, run: Any) -> dict[str, Any]:
    """The test pieces by each modality of a run, in its shared space; by a settled tower, as the run before it embeds them."""
    import contrapose as cp

    settled = said["methods"].get(name, {}).get("settled")
    before = cp.load(RESULTS / f"{settled['run']}-{seed}").embed("test") if settled else {}
    return {**before, **run.embed("test")}


def ranked(found: dict[str, Any]) -> dict[str, list[list[float]]]:
    """By direction, where each test piece's counterpart stands: how many are ahead of it, and how many beside it."""
    from itertools import permutations

    import torch

    from contrapose.evaluate.retrieval import ranks

    made = {}
    for a, b in permutations(found, 2):
        x, y = found[a], found[b]
        of = ranks(torch.from_numpy(x.z), torch.from_numpy(y.z), x.ids, y.ids)
        made[f"{a} → {b}"] = [of.ahead.tolist(), of.tied.tolist()]
    return made


def classified(run: Any, seed: int) -> dict[str, dict[str, Any]]:
    """By task, whether a linear SVM on the cloud encoder's own features told each test piece: C by folds of the train split."""
    from contrapose.evaluate.linear import probe

    train, test = (run.embed(split, "pointcloud", head="pooled")["pointcloud"] for split in ("train", "test"))
    told = {}
    for task, (fit, held) in tasks(train.columns, test.columns).items():
        column = "label" if task == "room" else "noun"
        labels, groups = train.columns[column][fit], train.columns["group"][fit]
        made = probe("svm", train.z[fit], labels, test.z[held], groups, seed)
        told[task] = {"right": (made.predicted == test.columns[column][held]).astype(int).tolist(), "C": made.C}
    return told


def tasks(train: dict[str, Any], test: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """By task, the train and test rows that have a class in it: all have a room, some a noun that ten pieces or more have."""
    import numpy as np

    nouns, counts = np.unique(np.concatenate([train["noun"], test["noun"]]), return_counts=True)
    common = nouns[counts >= NOUNS]
    every = [np.arange(len(side["noun"])) for side in (train, test)]
    some = [np.flatnonzero(np.isin(side["noun"], common)) for side in (train, test)]
    return {"room": (every[0], every[1]), "noun": (some[0], some[1])}


def main() -> None:
    """Run what lacks a result, a seed after the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    said = table()
    parser.add_argument("methods", nargs="*", default=[*said["methods"], *BASELINES])
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    args = parser.parse_args()

    import torch

    from contrapose.plugins import registry

    torch.set_num_threads(1)
    registry().load_file(HERE / "settled.py")
    RESULTS.mkdir(parents=True, exist_ok=True)
    for seed in args.seeds:
        for name in args.methods:
            if known(name, said, seed) is not None:
                continue
            began = time.process_time()
            found = one(name, said, seed)
            found |= {
                "config": digest(name, said, seed),
                "seconds": time.process_time() - began,
                "torch": torch.__version__,
            }
            part = file_of(name, seed).with_suffix(".part")
            part.write_text(json.dumps(found) + "\n")
            part.replace(file_of(name, seed))
            print(f"{name:18} seed {seed}  {found['seconds']:.0f} s", flush=True)


if __name__ == "__main__":
    main()
