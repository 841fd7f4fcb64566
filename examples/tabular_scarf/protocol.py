"""SCARF's protocol on the tables of its paper: pretrain, fine-tune with all labels, a quarter, or noisy ones; compare.

make tabular-scarf                                          # what lacks a result, then docs/tabular-scarf.md
python examples/tabular_scarf/protocol.py adult --splits 2  # the first two splits of this table alone

Each table leaves ``runs/tabular-scarf/NAME.json``, written after each split; what is there isn't run again. Splits come first: all
tables on split 0, then all on split 1, and so on.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.append(str(HERE.parent))
import resumed  # noqa: E402

TABLE = HERE / "table.yaml"
DATA = Path("runs/data/tabular")
RESULTS = Path("runs/tabular-scarf")
Said = dict[str, Any]


def table() -> Said:
    """``table.yaml``."""
    return resumed.parsed(TABLE)


def config_of(data: Path, columns: list[str], split: int, said: Said) -> Said:
    """The config of one pretraining."""
    pretrain = said["pretrain"]
    return {
        "data": str(data),
        "meta": {"label": "label"},
        "split": {"column": f"split_{split}"},
        "modalities": {"tabular": columns},
        **pretrain,
        "train": {**pretrain["train"], "seed": split},
    }


def digest(name: str, split: int, said: Said) -> str:
    """What a result depends on, in eight letters."""
    return resumed.digest([name, split, said["settings"], said["inits"], said["pretrain"], said["finetune"]])


def one_split(data: Path, split: int, said: Said) -> Said:
    """Pretrain on a split of a table and measure every classifier in every setting, on its test rows."""
    import numpy as np
    import pyarrow.parquet as pq
    from classify import accuracy, as_labelled, finetune, logistic, trees
    from pretrain import pretrain

    import contrapose as cp
    from contrapose.engine.build import Parts

    began = time.process_time()
    columns = [c for c in pq.read_schema(data).names if c.startswith("x")]
    run = Parts(cp.Config.of(config_of(data, columns, split, said)))
    parts = parts_of(run)
    val, test = parts["val"], parts["test"]
    sizes = [column.size for column in run.modalities["tabular"].schema.categorical]
    classes = int(max(part.labels.max() for part in parts.values())) + 1
    train = {
        setting: as_labelled(parts["train"], np.random.default_rng([split, 0]), **labels)
        for setting, labels in said["settings"].items()
    }
    found: Said = {
        setting: {"logistic": logistic(of, test, sizes), "trees": trees(of, test, sizes, split)}
        for setting, of in train.items()
    }
    losses: Said = {}
    for init in said["inits"]:
        start, scarf, losses[init] = pretrain(run, parts["train"].data, val.data, init)
        for setting, of in train.items():
            for name, encoder in (("scratch", start), ("scarf", scarf)):
                nets = finetune(encoder, of, val, classes, split, said["finetune"])
                found[setting][f"{name}, {init}"] = {end: accuracy(net, test) for end, net in nets.items()}
    return {
        "rows": {name: len(part.labels) for name, part in parts.items()},
        "epochs": {init: len(of) for init, of in losses.items()},
        "seconds": round(time.process_time() - began, 2),
        "accuracy": found,
    }


def parts_of(run: Any) -> dict[str, Any]:
    """The rows of each part of a split as the modality gives them, with their classes as numbers."""
    import numpy as np
    from classify import Part

    modality, found = run.modalities["tabular"], {}
    for name, reader in run.splits.items():
        samples = [reader[n] for n in range(len(reader))]
        labels = np.array([sample.meta["label"] for sample in samples])
        found[name] = Part(modality.collate([sample.data["tabular"] for sample in samples]), labels)
    return found


def file_of(name: str) -> Path:
    """Where a table's runs are kept."""
    return RESULTS / f"{name}.json"


def main() -> None:
    """Run what lacks a result."""
    import torch

    said = table()
    rest = [name for name in said["rest"] if (DATA / f"{name}.parquet").exists()]
    names = said["datasets"] + said["apart"] + rest
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("datasets", nargs="*", default=names)
    parser.add_argument("--splits", type=int, default=said["splits"], help="at most the first so many")
    args = parser.parse_args()
    if unknown := [name for name in args.datasets if name not in names]:
        parser.error(f"no such table: {', '.join(unknown)}; there are {', '.join(names)}")
    if not all((DATA / f"{name}.parquet").exists() for name in args.datasets):
        subprocess.run([sys.executable, HERE.parent / "data/build_tabular.py", "-o", DATA], check=True)
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", message=".*isn't in the training split")  # a rare word is met in a test row
    resumed.work(
        args.datasets,
        range(min(said["splits"], args.splits)),
        file_of,
        lambda name, split: digest(name, split, said),
        lambda name, split: one_split(DATA / f"{name}.parquet", split, said),
        "split",
    )


if __name__ == "__main__":
    main()
