"""Point clouds of LDraw's parts without labels: do the features tell the category, and more than what one would measure by hand?

python examples/ldraw/measure.py                        # all that lack a result, seeds 0 to 2; then render.py --collect
python examples/ldraw/measure.py simclr --seeds 0       # this row alone
python examples/ldraw/measure.py --split inner          # for choosing: train and valid, both of the train side

A row's runs are in ``runs/ldraw/SPLIT/NAME.json``; what is there isn't run again, unless its config has changed.
"""

from __future__ import annotations

import argparse
import io
import subprocess
import sys
import tempfile
import time
from functools import cache
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.append(str(HERE.parent))
import resumed  # noqa: E402

TABLE, RESULTS = HERE / "table.yaml", Path("runs/ldraw")
SPLITS = {"split": ("train", "test"), "inner": ("train", "valid")}
TREES = 200


def table() -> dict[str, Any]:
    """``table.yaml``."""
    return resumed.parsed(TABLE)


def rows(said: dict[str, Any]) -> list[str]:
    """All rows of the page, in the order in which they are run."""
    return ["forest", *said["references"], *said["methods"], "finetune"]


def config_of(name: str, said: dict[str, Any], seed: int, split: str = "split") -> dict[str, Any]:
    """What decides a run: the base and what the row changes; of the forest its size, of fine-tuning the pretraining's too."""
    from contrapose.engine.recipe import lay_over

    if name == "forest":
        return {"trees": TREES, "data": said["base"]["data"], "split": split, "seed": seed}
    if name == "finetune":
        start = config_of(said["finetune"]["from"], said, seed, split)
        return {**said["finetune"], "steps": {str(k): n for k, n in said["finetune"]["steps"].items()}, "start": start}
    config: dict[str, Any] = lay_over(said["base"], said["references"].get(name) or said["methods"][name])
    return config | {"split": {"column": split}, "train": {**config["train"], "seed": seed}}


def digest(name: str, said: dict[str, Any], seed: int, split: str = "split") -> str:
    """A run's config in eight letters."""
    return resumed.digest(config_of(name, said, seed, split))


@cache
def parts(data: str) -> dict[str, Any]:
    """The table's columns as arrays, ``cloud`` as float32 (n, 2048, 3)."""
    import numpy as np
    import pyarrow.parquet as pq

    read = pq.read_table(data)
    clouds = np.stack([np.load(io.BytesIO(cell)) for cell in read["cloud"].to_pylist()]).astype(np.float32)
    return {name: np.asarray(read[name]) for name in read.column_names if name != "cloud"} | {"cloud": clouds}


@cache
def described(data: str) -> Any:
    """Descriptors (n, 89) of all parts."""
    import numpy as np
    from descriptors import descriptors

    found = parts(data)
    return np.stack([descriptors(c, float(a)) for c, a in zip(found["cloud"], found["area"], strict=True)])


def forest(config: dict[str, Any]) -> dict[str, Any]:
    """A random forest on descriptors without a size, as the networks see none, and with it; and the commonest category."""
    import numpy as np
    from sklearn.ensemble import RandomForestClassifier

    found, x = parts(config["data"]), described(config["data"])
    train, test = (found[config["split"]] == side for side in SPLITS[config["split"]])
    labels, wanted = found["category"][train], found["category"][test]
    readings = {}
    for key, features in (("forest", x), ("forest with size", np.c_[x, found["size"]])):
        trees = RandomForestClassifier(config["trees"], random_state=config["seed"]).fit(features[train], labels)
        readings[key] = float((trees.predict(features[test]) == wanted).mean())
    names, counts = np.unique(labels, return_counts=True)
    return {**readings, "majority": float((wanted == names[counts.argmax()]).mean())}


def trained(name: str, config: dict[str, Any], kept: Path) -> dict[str, Any]:
    """Train (or not), read the frozen ``pooled`` features of the last epoch; the encoder's weights stay in ``kept``."""
    import torch

    import contrapose as cp
    from contrapose.engine.build import Parts
    from contrapose.engine.run import Run
    from contrapose.evaluate.geometry import effective_rank
    from contrapose.evaluate.knn import knn
    from contrapose.evaluate.linear import probe

    began = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        if name == "untrained":
            run = Run(Path(folder), Parts(cp.Config.of(config))).untrained()
        else:
            run = cp.train(config, out=Path(folder) / "run", quiet=True)
        seconds = time.process_time() - began
        sides = SPLITS[config["split"]["column"]]
        train, test = (run.embed(side, "pointcloud", head="pooled")["pointcloud"] for side in sides)
        torch.save(run.encoder("pointcloud").state_dict(), kept)
    labels, wanted = train.columns["label"], test.columns["label"]
    near = knn(torch.from_numpy(train.z), labels, torch.from_numpy(test.z))
    fit = probe("linear", train.z, labels, test.z, groups=train.columns["group"], seed=config["train"]["seed"])
    return {
        "knn": float((near == wanted).mean()),
        "linear": float((fit.predicted == wanted).mean()),
        "C": fit.C,
        "rank": effective_rank(torch.from_numpy(test.z)),
        "seconds": seconds,
    }


def finetuned(config: dict[str, Any], kept: Path) -> dict[str, Any]:
    """Classifiers on some labels, from fresh weights and from those in ``kept``: accuracy by share and start."""
    import numpy as np
    import torch
    from finetune import fit, predict, some_families

    import contrapose as cp
    from contrapose.engine.build import Parts

    start, seed = Parts(cp.Config.of(config["start"])), config["start"]["train"]["seed"]
    found, column = parts(config["start"]["data"]), config["start"]["split"]["column"]
    train, test = (np.flatnonzero(found[column] == side) for side in SPLITS[column])
    names, codes = np.unique(found["category"], return_inverse=True)
    clouds, codes = torch.from_numpy(found["cloud"]), torch.from_numpy(codes)
    augment = start.plan.planned[0].generator.batched  # type: ignore[attr-defined]
    show = start.eval_plan.planned[0].generator.batched  # type: ignore[attr-defined]
    seen = show(clouds[test], torch.Generator())
    readings = {}
    for share in config["shares"]:
        chosen = train[some_families(found["family"][train], share, seed)]
        for weights in ("fresh", config["from"]):
            torch.manual_seed(seed)
            encoder = start.make_method().encoders["pointcloud"]
            if weights != "fresh":
                encoder.load_state_dict(torch.load(kept, weights_only=True))
            width, steps = encoder.dims["pooled"], config["steps"][str(share)]
            layer = fit(encoder, width, clouds[chosen], codes[chosen], augment, steps, seed, len(names))
            right = predict(encoder, layer, seen) == codes[test]
            readings[f"{share:g}, {weights}"] = float(right.float().mean())
    return readings


def one(name: str, said: dict[str, Any], seed: int, split: str) -> dict[str, Any]:
    """A run of a row."""
    config, base = config_of(name, said, seed, split), RESULTS / split
    base.mkdir(parents=True, exist_ok=True)  # for the weights
    if name == "forest":
        return forest(config)
    if name == "finetune":
        return finetuned(config, base / f"{config['from']}-{seed}.pt")
    return trained(name, config, base / f"{name}-{seed}.pt")


def file_of(name: str, split: str) -> Path:
    """Where a row's runs are kept."""
    return RESULTS / split / f"{name}.json"


def work(names: list[str], seeds: list[int], split: str) -> None:
    """Run what lacks, a seed of all rows before the next seed; write a row's file after each run."""
    import torch

    from contrapose.plugins import registry

    torch.set_num_threads(1)
    registry().load_file(HERE / "stretch.py")
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
        subprocess.run([sys.executable, HERE.parent / "data/build_ldraw.py", "-o", said["base"]["data"]], check=True)
    work(args.rows or rows(said), args.seeds, args.split)


if __name__ == "__main__":
    main()
