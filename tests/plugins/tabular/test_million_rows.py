"""A schema of 1,000,000 rows and 20 columns: settled in seconds, in the memory of one of 10,000 rows."""

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
    config = {"data": data, "modalities": {"tabular": columns}, "views": {"tabular": "tabular/eval"}}
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


@pytest.mark.slow
def test_a_million_rows_start_at_once_in_flat_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONTRAPOSE_CACHE", str(tmp_path / "cache"))
    few, many = (write(tmp_path / f"{n}.parquet", n) for n in (10_000, ROWS))
    for table in (few, many):
        arrow_file(Path(table))  # converted once, and not counted
    done = subprocess.run([sys.executable, "-c", CODE, few, many], capture_output=True, text=True, check=True)
    columns, taken, grown = json.loads(done.stdout)
    print(f"{taken:.1f} s to the first batch, {grown / ROWS:.0f} B a row")
    assert columns == 20
    assert taken < 5
    assert grown < 60 * ROWS  # ids and their order, and room to make them: not 160 B of cells
