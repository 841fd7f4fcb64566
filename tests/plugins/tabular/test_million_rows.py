"""A schema, and SCARF's marginals, of 1,000,000 rows and 20 columns: settled in seconds, in little memory."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from contrapose.data.cache import arrow_file

ROWS = 1_000_000

CODE = """
import json, sys, time
from pathlib import Path
from contrapose import Config
from contrapose.data.cache import arrow_file
from contrapose.data.table import map_table
from contrapose.engine.build import Parts

def memory():
    return int(Path("/proc/self/status").read_text().partition("RssAnon:")[2].split()[0]) * 1024

def start(data):
    clock, before = time.process_time(), memory()
    columns = map_table(arrow_file(Path(data))).schema.names
    config = {"data": data, "modalities": {"tabular": columns}, "views": json.loads(sys.argv[3])}
    config |= {"encoders": {"tabular": {"use": "tabular/mlp", "width": 16}}, "method": "simclr"}
    config["train"] = {"batch_size": 256, "device": "cpu", "threads": 1}
    parts = Parts(Config.of(config))
    method, loader = parts.make_method(), iter(parts.train_loader())
    batch = next(loader)
    return len(parts.facts("tabular")["schema"].sources), time.process_time() - clock, memory() - before

start(sys.argv[1])
print(json.dumps(start(sys.argv[2])))
"""


def write(path: Path, rows: int) -> str:
    rng = np.random.default_rng(0)
    columns = {f"n{i}": pa.array(rng.normal(size=rows)) for i in range(14)}
    columns |= {f"c{i}": pa.array(np.array(["oak", "ash", "elm"])[rng.integers(0, 3, rows)]) for i in range(4)}
    columns |= {"b": pa.array(rng.random(rows) < 0.5), "t": pa.array(rng.integers(0, 10**9, rows), pa.timestamp("s"))}
    pq.write_table(pa.table(columns), path)
    return str(path)


def start(folder: Path, views: dict[str, object]) -> tuple[int, float, float]:
    """Columns, CPU seconds to the first batch, and bytes a row that memory grew by, beyond those of 10,000 rows."""
    few, many = (write(folder / f"{n}.parquet", n) for n in (10_000, ROWS))
    for table in (few, many):
        arrow_file(Path(table))  # converted once, and not counted
    call = [sys.executable, "-c", CODE, few, many, json.dumps(views)]
    columns, taken, grown = json.loads(subprocess.run(call, capture_output=True, text=True, check=True).stdout)
    print(f"{taken:.1f} s to the first batch, {grown / ROWS:.0f} B a row")
    return columns, taken, grown / ROWS


@pytest.mark.slow
def test_a_million_rows_start_at_once_in_flat_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONTRAPOSE_CACHE", str(tmp_path / "cache"))
    columns, taken, grown = start(tmp_path, {"tabular": "tabular/eval"})
    assert columns == 20
    assert taken < 5
    assert grown < 60  # ids and their order, and room to make them: not 160 B of cells


@pytest.mark.slow
def test_scarf_learns_the_marginals_of_a_million_rows_in_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of fifteen columns of numbers that are all different, which are held once."""
    monkeypatch.setenv("CONTRAPOSE_CACHE", str(tmp_path / "cache"))
    columns, taken, grown = start(tmp_path, {"tabular": {"use": "tabular/scarf", "batched": True}})
    assert columns == 20
    assert taken < 15
    assert grown < 60 + 15 * 4 + 250  # the values, and once the parts of which they are sorted
