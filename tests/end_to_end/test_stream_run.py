"""docs/data.md, Streams, in runs: they train, resume exactly, keep two processes in step, and say what they can't do."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from ruamel.yaml import YAML
from tests.end_to_end.waves import write_project

from contrapose.cli import main
from contrapose.data import stream
from contrapose.engine.run import load
from contrapose.plugins import configure
from contrapose.testing import assert_resume_exact

WAVES = Path(__file__).with_name("waves.py")
PLUGIN = ["--plugin", str(WAVES)]
TEXT = (
    (Path(__file__).resolve().parents[2] / "docs/data.md").read_text().partition("## Streams")[2].partition("\n## ")[0]
)
SNIPPETS = re.findall(r"^```(\w+)\n(.*?)^```", TEXT, re.M | re.S)
SHARDS = 4


@pytest.fixture
def project(tmp_path, monkeypatch):
    """``my.yaml`` on the compressed shards ``part-{0..3}.tar.gz``, 12 samples each, an epoch counting 24."""
    here = write_project(tmp_path / "project", samples=12 * SHARDS, train=", loggers: []").parent
    rows = [json.loads(line) for line in (here / "things.jsonl").read_text().splitlines()]
    for shard in range(SHARDS):
        with tarfile.open(here / f"part-{shard}.tar.gz", "w:gz") as tar:
            for i, row in list(enumerate(rows))[12 * shard : 12 * shard + 12]:
                more = json.dumps({k: v for k, v in row.items() if k != "wave"}).encode()
                for suffix, data in [("txt", (here / row["wave"]).read_bytes()), ("json", more)]:
                    info = tarfile.TarInfo(f"{i:03}.{suffix}")
                    info.size = len(data)
                    tar.addfile(info, io.BytesIO(data))
    text = (here / "my.yaml").read_text().replace("wave: wave,", "wave: txt,", 1)
    text = text.replace("split: {column: part}\n", "").replace("train: {", "train: {window: 6, ")
    said = 'data: {use: webdataset, path: "part-{0..3}.tar.gz", streaming: true, samples: 24}'
    (here / "my.yaml").write_text(text.replace("data: things.jsonl", said))
    monkeypatch.chdir(here)
    monkeypatch.setenv("CONTRAPOSE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(stream, "WAIT", 0.001)
    yield here
    configure()


def setting(config: Path, old: str, new: str) -> Path:
    text = config.read_text()
    assert old in text
    made = config.with_name("changed.yaml")
    made.write_text(text.replace(old, new))
    return made


@pytest.mark.parametrize("workers", [0, 2])
def test_a_stopped_run_ends_in_the_same_bits(project, workers):
    for stop in (4, 6):  # in an epoch of 3 steps, and between two
        assert_resume_exact(project / "my.yaml", steps=9, stop=stop, set=[f"train.workers={workers}"], plugins=[WAVES])
        configure()


def test_a_run_counts_epochs_by_samples_or_by_steps(project, capsys):
    assert main(["train", "my.yaml", "--out", "run", *PLUGIN]) == 0
    said = capsys.readouterr().out
    assert re.findall(r"^epoch (\d/\d)", said, re.M) == ["1/4", "2/4", "3/4", "4/4"]
    assert len((project / "run/metrics.csv").read_text().splitlines()) == 1 + 12
    steps = setting(project / "my.yaml", ", samples: 24", "")
    assert main(["train", str(steps), "--out", "steps", "--set", "train.steps=5", *PLUGIN]) == 0
    said = capsys.readouterr()
    assert re.findall(r"^epoch (\d/\d)", said.out, re.M) == ["1/1"]
    assert "its first checkpoint comes last: set train.checkpoint_every" in said.err
    assert main(["train", str(steps), "--out", "never", *PLUGIN]) == 1
    said = capsys.readouterr().err
    assert said.endswith(
        "train.epochs: nobody knows how long an epoch of a stream is: set train.steps, or samples: N under data\n"
    )
    assert not (project / "never").exists()
    assert main(["report", "run", *PLUGIN]) == 0
    said = capsys.readouterr().err
    assert "train is a stream, and this needs samples by position" in said
    assert (project / "run/report.html").is_file()


def test_two_processes_make_as_many_steps_on_samples_of_their_own(project, capsys):
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    train = [*launch, "-m", "contrapose", "train", *PLUGIN]
    tight = ["my.yaml", "--out", "run", "--set", "train.steps=10", "--set", "train.workers=2"]
    done = subprocess.run([*train, *tight], text=True, capture_output=True, timeout=300)
    assert done.returncode == 0, done.stderr
    (last,) = sorted(Path("run/checkpoints").glob("step-*"))[-1:]
    state = json.loads((last / "state.json").read_text())
    assert (state["step"], len(state["stream"])) == (10, 2)
    for one in state["stream"]:  # 10 batches of 4 samples on each, from 2 workers of 12 samples a pass
        assert [place[0] for place in one["places"]] == [1, 1]
        assert len(one["places"]) == 2
    assert main(["train", "--resume", "run", "--set", "train.steps=11", "--set", "train.workers=1", *PLUGIN]) == 0
    said = capsys.readouterr().out
    assert "saved by 2 processes of 2 workers, going on by 1 of 1" in said
    assert "begins a new pass" in said
    assert "same samples" not in said


def test_a_truncated_shard_and_a_broken_file_are_listed(project, capsys):
    file = project / "part-1.tar.gz"
    file.write_bytes(file.read_bytes()[:-200])
    assert main(["train", "my.yaml", "--out", "run", *PLUGIN]) in (0, 3)
    assert re.search(r"warning: .*part-1\.tar\.gz: cut short or damaged", capsys.readouterr().err)
    listed = (project / "run/skipped.csv").read_text()
    assert re.search(r"^\d+,shard,.*part-1\.tar\.gz: cut short or damaged", listed, re.M)
    for other in project.glob("part-*.tar.gz"):
        other.unlink()
    assert main(["train", "--resume", "run", "--set", "train.epochs=5", *PLUGIN]) == 1
    assert re.fullmatch(
        r"(resuming.*\n)?error: .*part-\{0\.\.3\}\.tar\.gz.*|error: .*no such file\n", capsys.readouterr().err
    )


def test_embedding_a_stream_follows_its_order_and_packing_gives_positions(project, capsys):
    assert main(["train", "my.yaml", "--out", "run", *PLUGIN]) == 0
    found = load("run").embed("train")
    assert found["wave"].ids.tolist() == [(s << 32) + i for s in range(SHARDS) for i in range(12)]
    for command in (["evaluate", "run", "--split", "train"], ["search", "run", "--query", "1"]):
        assert main([*command, *PLUGIN]) == 1
        assert capsys.readouterr().err.count("\n") == 1
    assert main(["pack", "my.yaml", "-o", "packed", *PLUGIN]) == 0
    assert "packed 48 rows into 1 shards" in capsys.readouterr().out
    by_position = load("run").embed("packed")
    assert np.array_equal(found["wave"].z, by_position["wave"].z)
    assert np.array_equal(found["echo"].z, by_position["echo"].z)
    assert main(["embed", "run", "packed", "-o", "z.parquet", *PLUGIN]) == 0
    assert pq.read_table("z.parquet").num_rows == 48
    assert main(["train", "my.yaml", "--set", "data=packed", "--out", "exact", "--set", "train.epochs=1", *PLUGIN]) == 0


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (("encoders:", "split: {by: label}\nencoders:"), "split: a stream can't be split"),
        (("{use: queue, of: key, size: 64}", "{use: bank, of: key}"), "it needs to know all samples"),
        (("window: 6", "together: label"), "train.together: a stream's samples come as they are read"),
        (("samples: 24", "samples: 4"), "data.samples: an epoch of 4 samples has no batch of 8"),
        (("window: 6", "workers: 5"), "train.workers: a shard has one reader, and there are 4"),
        (("part-{0..3}.tar.gz", "pipe:cat part-0.tar"), "begins with one of http, https, s3"),
    ],
)
def test_what_a_stream_cannot_do_is_one_line(project, capsys, change, why):
    made = setting(project / "my.yaml", *change)
    assert main(["train", str(made), "--out", "never", *PLUGIN]) == 1
    said = capsys.readouterr().err
    assert why in said
    assert said.count("\n") == 1
    assert not (project / "never").exists()
    assert main(["views", "my.yaml", "-o", "views.png", *PLUGIN]) == 1
    assert "a stream can only be read from its beginning" in capsys.readouterr().err


def test_the_snippets_of_the_docs(project):
    assert [language for language, _ in SNIPPETS] == ["yaml", "yaml", "bash"]
    tars, rows = (YAML(typ="safe", pure=True).load(text) for _, text in SNIPPETS[:2])
    data = {**tars["data"], "path": "part-{0..3}.tar.gz", "samples": 24}
    assert data.keys() == tars["data"].keys()
    text = (project / "my.yaml").read_text()
    (project / "tars.yaml").write_text(re.sub(r"^data: .*", f"data: {json.dumps(data)}", text, flags=re.M))
    few = ["--set", "train.steps=2", *PLUGIN]
    assert main(["train", "tars.yaml", "--out", "tars", *few]) == 0
    folder = project / "rows"
    folder.mkdir()
    pytest.importorskip("datasets", reason="datasets isn't installed: pip install contrapose[hf]")
    import pyarrow as pa

    things = [json.loads(line) for line in (project / "things.jsonl").read_text().splitlines()]
    made = [{**row, "wave": (project / row["wave"]).read_bytes()} for row in things]
    pq.write_table(pa.Table.from_pylist(made), folder / "train-00000-of-00001.parquet")
    data = {**rows["data"], "path": "rows"}
    train = {k: v for k, v in rows["train"].items() if k not in ("steps", "workers", "window")}
    assert train.keys() == {"checkpoint_every"}
    text = re.sub(r"^data: .*", f"data: {json.dumps(data)}", text.replace("wave: txt", "wave: wave"), flags=re.M)
    (project / "rows.yaml").write_text(text.replace("train: {", "train: {checkpoint_every: 1, "))
    assert main(["train", "rows.yaml", "--out", "rows-run", *few]) == 0
    for line in SNIPPETS[2][1].splitlines():
        assert main([*line.split()[1:], *PLUGIN]) == 0
