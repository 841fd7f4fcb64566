"""A manifest of 1,000,000 rows, as it is and packed: a run starts in seconds, in the memory of one of 1,000 rows."""

import json
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.core.test_data_packed import Pulse

from contrapose.data import open_reader
from contrapose.data.pack import pack

ROWS = 1_000_000
KEPT, PEAK = 100, 250
"""Bytes that a row may cost, whatever its data weigh: ids, order, a number for each column under meta, and room to make them."""

CODE = """
import json, sys, time
from pathlib import Path
import numpy as np
import torch
from contrapose.data import make_loader, open_reader, split
from contrapose.types import View

class Beat:
    name, dtype = "beat", torch.float32
    def load(self, cells, root): return cells["beat"]
    def collate(self, items): return torch.from_numpy(np.stack(items))

class Plain:
    names = {"beat/0": "beat"}
    def __call__(self, sample, epoch): return [View("beat/0", "beat", sample.data["beat"])], []

def memory(kind):
    return int(Path("/proc/self/status").read_text().partition(kind + ":")[2].split()[0]) * 1024

def start(where, **options):
    beats = {"beat": Beat()}
    reader = open_reader(where, beats, {"beat": "beat"}, {"label": "label", "time": "time"})
    train = split(reader, {"test": 0.2, "seed": 0})["train"]
    return make_loader(train, Plain(), beats, 256, **options)

start(sys.argv[1])  # what is imported and allocated once, on 1,000 rows
before, clock = {k: memory(k) for k in ("RssAnon", "VmHWM")}, time.process_time()
loader = start(sys.argv[2], window=4096 if len(sys.argv) > 3 else None)
batches = iter(loader)
first = next(batches)
taken = time.process_time() - clock
for _ in range(20):
    next(batches)
print(json.dumps([len(loader), len(first), taken, memory("RssAnon") - before["RssAnon"], memory("VmHWM") - before["VmHWM"]]))
"""


def write(path, rows):
    rng = np.random.default_rng(0)
    beats = pa.FixedSizeListArray.from_arrays(pa.array(rng.random(rows * 8, np.float32)), 8)
    columns = {
        "beat": beats.cast(pa.list_(pa.float32())),
        "path": pa.array(np.char.add("a/", np.arange(rows).astype(str))),
    }
    columns |= {"label": pa.array([f"kind {i % 1000}" for i in range(rows)]), "time": pa.array(rng.random(rows))}
    pq.write_table(pa.table(columns), path)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with ``few.parquet`` and ``many.parquet``."""
    here = tmp_path_factory.mktemp("million")
    write(here / "few.parquet", 1000)
    write(here / "many.parquet", ROWS)
    return here


@pytest.mark.parametrize("form", ["manifest", "packed"])
def test_a_run_on_a_million_rows_starts_at_once_in_flat_memory(place, form, monkeypatch):
    monkeypatch.setenv("CONTRAPOSE_CACHE", str(place / "cache"))
    few, many = str(place / "few.parquet"), str(place / "many.parquet")
    more = []
    if form == "packed":
        pulse = {"pulse": Pulse()}
        pack(open_reader(many, pulse, {"pulse": "label"}), pulse, place / "packed", 1 << 24)
        many, more = str(place / "packed"), ["window"]
    done = subprocess.run([sys.executable, "-c", CODE, few, many, *more], capture_output=True, text=True, check=True)
    batches, rows, taken, kept, peak = json.loads(done.stdout)
    print(f"{taken:.1f} s to the first batch, {kept / ROWS:.0f} B a row kept, {peak / ROWS:.0f} B at the peak")
    assert (batches, rows) == (ROWS * 4 // 5 // 256, 256)
    assert taken < 5
    assert kept < KEPT * ROWS
    assert peak < PEAK * ROWS
