"""Every preset trains on real data: for some steps on furniture, by the changes that the methods table makes to it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import torch

import contrapose as cp
from contrapose import registry
from contrapose.engine.metrics import read_metrics

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "examples/methods_table"))

from run import config_of, table  # noqa: E402

TABLE = table()
OFFERED = {o.spec.name for o in registry().offers("method") if o.distribution == "contrapose"}
ROWS, STEPS = 48, 3
META = {
    "label": "room",
    "group": "group",
    "sequence": "group",
    "tracklet": "group",
    "camera": "library",
    "time": "height",
}
COLUMNS = {"image": "icon", "text": "name", "tabular": ["width", "depth", "height", "elevation", "movable"]}
# What stands for the table's lightness and colour: furniture has modalities of its own.
INSTEAD: dict[str, Any] = {
    "lightness": "text",
    "colour": "tabular",
    "lightness_crop": "text/dropout",
    "colour_crop": {"use": "tabular/scarf", "rate": 0.6, "batched": True},
    "lightness_small": {"use": "text/transformer", "layers": 1, "width": 128, "heads": 2},
    "colour_small": "tabular/mlp",
}
TAPS = {"cpc", "densecl", "dim", "selfcon"}  # read a tap that rows of a table have not
PIXELS = {"pirl", "mixco"}  # cut a picture into pieces, or add two of them up


def instead(tree: Any) -> Any:
    """The tree with every name of ``INSTEAD`` replaced, ``lightness_key`` too."""
    if isinstance(tree, dict):
        return {_renamed(k): instead(v) for k, v in tree.items()}
    if isinstance(tree, list):
        return [instead(v) for v in tree]
    return INSTEAD.get(tree, tree) if isinstance(tree, str) else tree


def _renamed(key: str) -> str:
    head, joint, tail = key.partition("_")
    new = INSTEAD.get(head, head)
    return f"{new}{joint}{tail}" if isinstance(new, str) else key


@pytest.fixture(scope="module")
def furniture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some pieces of the training split, those of one group together."""
    whole = pq.read_table(ROOT / "examples/data/furniture/furniture.parquet")
    train = whole.filter(pc.equal(whole["split"], "train")).sort_by("group")
    where = tmp_path_factory.mktemp("furniture") / "pieces.parquet"
    pq.write_table(train.slice(0, ROWS), where)
    return where


def trained(config: dict[str, Any], out: Path) -> cp.Run:
    run = cp.train(config, out=out, quiet=True)
    metrics = read_metrics(out / "metrics.csv")
    assert len(metrics) == STEPS
    assert np.isfinite(metrics.values["loss"]).all()
    return run


def test_the_table_has_every_preset() -> None:
    assert set(TABLE["methods"]) == OFFERED
    assert {"untrained", "supervised"} <= set(TABLE["references"])


@pytest.mark.parametrize("name", sorted(OFFERED))
def test_on_pictures_and_what_goes_with_them(name: str, furniture: Path, tmp_path: Path) -> None:
    config = instead(config_of(name, TABLE, seed=0))
    modalities = {m: COLUMNS[m] for m in config["modalities"]}
    config |= {"data": str(furniture), "meta": META, "split": None, "modalities": modalities}
    config["encoders"]["image"] = {"use": "image/small", "width": 16}
    config["train"] |= {"steps": STEPS, "batch_size": 16, "device": "cpu", "warmup": 0}
    if name == "tcl":
        config["method"]["local"] = ["image"]  # words have no dense tap
        del config["method"]["branches"]["text_parts"]
    if "together" in config["train"]:
        config["train"]["together"] = "group"
    run = trained(config, tmp_path / "run")
    before = run.untrained().encoder("image").state_dict()
    moved = [
        k
        for k, v in run.encoder("image").state_dict().items()
        if v.is_floating_point() and not torch.equal(v, before[k])
    ]
    # CoCLR learns once its queues are full, and BatchNorm moves by itself.
    assert any(k.endswith("0.weight") for k in moved) or name == "coclr"


@pytest.mark.parametrize("name", sorted(n for n in OFFERED - TAPS - PIXELS if "on" not in TABLE["methods"][n]))
def test_the_same_preset_on_rows_of_a_table(name: str, furniture: Path, tmp_path: Path) -> None:
    config = config_of(name, TABLE, seed=0)
    config |= {
        "data": str(furniture),
        "meta": META,
        "split": None,
        "modalities": {"tabular": COLUMNS["tabular"]},
        "views": {"tabular": {"use": "tabular/scarf", "rate": 0.6, "batched": True}},
        "encoders": {"tabular": "tabular/mlp"},
        "evaluate": {},
    }
    config["train"] |= {"steps": STEPS, "batch_size": 16, "device": "cpu", "warmup": 0}
    run = trained(json.loads(json.dumps(config)), tmp_path / "run")
    assert run.embed("train")["tabular"].z.shape[0] == ROWS
