"""The README's config trains as it stands, beside a table of one's own."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from ruamel.yaml import YAML

import contrapose as cp

README = Path(__file__).parents[3] / "plugins/tabular/README.md"


CONFIGS = [text.split("```")[0] for text in README.read_text().split("```yaml\n")[1:]]


@pytest.mark.parametrize("config", CONFIGS, ids=lambda text: text.split(":")[0])
def test_the_readmes_config_trains(config: str, tmp_path: Path) -> None:
    things = {
        "width": [float(i) for i in range(40)],
        "height": [i % 5 for i in range(40)],
        "movable": [True, False] * 20,
    }
    pq.write_table(pa.table(things), tmp_path / "things.parquet")
    said = YAML(typ="safe", pure=True).load(config)
    train = {"epochs": 2, "batch_size": 8, "threads": 1, "device": "cpu"}
    whole = {"data": str(tmp_path / "things.parquet"), "modalities": {"tabular": list(things)}, "train": train}
    run = cp.train(whole | said, out=tmp_path / "run", quiet=True)
    assert run.embed("train")["tabular"].z.shape[0] == (28 if "recipe" in said else 40)
