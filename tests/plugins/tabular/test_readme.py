"""The README's config trains as it stands, beside a table of one's own."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from ruamel.yaml import YAML

import contrapose as cp

README = Path(__file__).parents[3] / "plugins/tabular/README.md"


def test_the_readmes_config_trains(tmp_path: Path) -> None:
    things = {
        "width": [float(i) for i in range(16)],
        "height": [i % 5 for i in range(16)],
        "movable": [True, False] * 8,
    }
    pq.write_table(pa.table(things), tmp_path / "things.parquet")
    said = YAML(typ="safe", pure=True).load(README.read_text().split("```yaml\n")[1].split("```")[0])
    train = {"epochs": 2, "batch_size": 8, "threads": 1, "device": "cpu"}
    config = {"data": str(tmp_path / "things.parquet"), "modalities": {"tabular": list(things)}, "train": train}
    run = cp.train(config | said, out=tmp_path / "run", quiet=True)
    assert run.embed("train")["tabular"].z.shape[0] == 16
