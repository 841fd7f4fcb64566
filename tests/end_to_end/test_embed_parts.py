"""``contrapose embed`` into a folder: by one process or several, killed and started again, always the same table."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pyarrow.dataset
import pyarrow.parquet as pq
import pytest
from tests.end_to_end.waves import write_project

from contrapose.cli import main
from contrapose.plugins import configure
from contrapose.report import parts

PLUGIN = ["--plugin", str(Path(__file__).with_name("waves.py"))]
SMALL = ["--part-rows", "8", "--batch-size", "4"]


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    yield write_project(tmp_path_factory.mktemp("parts") / "project", samples=38).parent
    configure()


@pytest.fixture(scope="module")
def run(project):
    out = project / "run"
    assert main(["train", str(project / "my.yaml"), "--out", str(out), "--set", "train.epochs=1", *PLUGIN]) == 0
    return out


@pytest.fixture(scope="module")
def whole(run, project):
    """The 38 rows in one piece, and the command but for its output."""
    command = ["embed", str(run), str(project / "things.jsonl"), *SMALL, *PLUGIN]
    assert main([*command, "-o", str(project / "whole.parquet")]) == 0
    return pq.read_table(project / "whole.parquet"), command


def read(folder):
    assert not list(folder.glob(".*"))
    return pyarrow.dataset.dataset(folder).to_table()


def test_parts_are_the_file_in_pieces(whole, tmp_path, capsys):
    table, command = whole
    assert main([*command, "-o", str(tmp_path / "z")]) == 0
    assert sorted(f.name for f in (tmp_path / "z").glob("*.parquet")) == [
        f"part-{i:05}-of-00005.parquet" for i in range(5)
    ]
    assert read(tmp_path / "z").equals(table)
    assert "wrote 5 parts; " in capsys.readouterr().out
    before = {f: f.stat().st_mtime_ns for f in (tmp_path / "z").iterdir()}
    assert main([*command, "-o", str(tmp_path / "z")]) == 0
    assert "wrote 0 parts, 5 were there; " in capsys.readouterr().out
    assert {f: f.stat().st_mtime_ns for f in (tmp_path / "z").iterdir()} == before


def test_a_stopped_job_goes_on_with_what_is_missing(whole, tmp_path, monkeypatch, capsys):
    table, command = whole
    calls = []

    def stopping(*arguments):
        calls.append(arguments)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return embedded(*arguments)

    embedded = parts.embedded
    monkeypatch.setattr(parts, "embedded", stopping)
    assert main([*command, "-o", str(tmp_path / "z")]) == 130
    assert "the same command goes on" in capsys.readouterr().err
    assert len(list((tmp_path / "z").glob("*.parquet"))) == 2
    cut = tmp_path / "z" / "part-00001-of-00005.parquet"
    cut.write_bytes(cut.read_bytes()[:-50])
    assert main([*command, "-o", str(tmp_path / "z")]) == 0
    assert len(calls) == 3 + 4
    assert read(tmp_path / "z").equals(table)


def test_processes_share_the_parts_and_a_restart_may_have_more_of_them(whole, tmp_path, monkeypatch, capsys):
    table, command = whole
    for rank, world in [(0, 2), (1, 3), (2, 3)]:
        monkeypatch.setenv("RANK", str(rank))
        monkeypatch.setenv("WORLD_SIZE", str(world))
        assert main([*command, "-o", str(tmp_path / "z")]) == 0
    said = capsys.readouterr().out
    assert [line for line in said.splitlines() if "wrote" in line] == [
        f"process 1 of 2: wrote 2 parts; {tmp_path / 'z'} has 5 when all are done",
        f"process 2 of 3: wrote 1 parts, 1 were there; {tmp_path / 'z'} has 5 when all are done",
        f"process 3 of 3: wrote 2 parts; {tmp_path / 'z'} has 5 when all are done",
    ]
    assert read(tmp_path / "z").equals(table)
    assert main([*command, "-o", str(tmp_path / "z.parquet")]) == 1
    assert "3 processes write a part each: give a folder by -o" in capsys.readouterr().err


def test_parts_of_something_else_are_refused(whole, project, tmp_path, capsys):
    _, command = whole
    out = ["-o", str(tmp_path / "z")]
    assert main([*command, *out]) == 0
    other = project / "some.jsonl"
    other.write_text("".join((project / "things.jsonl").read_text().splitlines(keepends=True)[:20]))
    for changed, what in [
        ([*command, "--head", "projected"], "head"),
        ([*command[:2], str(other), *command[3:]], "data"),
        ([*command, "--part-rows", "11"], "part_rows"),
    ]:
        assert main([*changed, *out]) == 1
        assert f"holds embeddings of other {what} (" in capsys.readouterr().err
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").write_text("")
    assert main([*command, "-o", str(tmp_path / "full")]) == 1
    assert "holds something already" in capsys.readouterr().err


def test_packed_data_give_the_same_vectors(whole, project, tmp_path):
    table, command = whole
    assert main(["pack", str(project / "my.yaml"), "-o", str(tmp_path / "packed"), *PLUGIN]) == 0
    assert main([*command[:2], str(tmp_path / "packed"), *command[3:], "-o", str(tmp_path / "z")]) == 0
    made = read(tmp_path / "z")
    for name in ("id", "pitch", "z_wave", "z_echo"):
        assert made.column(name).combine_chunks().equals(table.column(name).combine_chunks())


@pytest.mark.slow
def test_torchrun(whole, tmp_path):
    table, command = whole
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", "-m", "contrapose"]
    done = subprocess.run(
        [*torchrun, *command, "-o", str(tmp_path / "z")], capture_output=True, text=True, env={**os.environ}
    )
    assert done.returncode == 0, done.stderr
    assert "process 2 of 2: wrote 3 parts" in done.stdout
    assert read(tmp_path / "z").equals(table)
