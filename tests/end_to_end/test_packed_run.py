"""docs/data.md in a run: packed data and tar shards train to the very weights of the files, and resume exactly."""

from __future__ import annotations

import io
import json
import re
import tarfile
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import safetensors.torch
import torch
from tests.end_to_end.waves import write_project

from contrapose.cli import main
from contrapose.plugins import configure
from contrapose.testing import assert_resume_exact

WAVES = Path(__file__).with_name("waves.py")
PLUGIN = ["--plugin", str(WAVES)]
TEXT = (Path(__file__).resolve().parents[2] / "docs/data.md").read_text()
COMMANDS = re.search(r"```bash\n(contrapose pack .*?)```", TEXT, re.S)[1].splitlines()


@pytest.fixture
def project(tmp_path, monkeypatch):
    here = write_project(tmp_path / "project", samples=24, train=", steps: 4, loggers: []").parent
    monkeypatch.chdir(here)
    monkeypatch.setenv("CONTRAPOSE_CACHE", str(tmp_path / "cache"))
    yield here
    configure()


def weights(run):
    (file,) = Path(run).glob("checkpoints/step-00000004/model.safetensors")
    return safetensors.torch.load_file(file)


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_packed_data_train_to_the_same_weights_without_the_files(project):
    assert main(["train", "my.yaml", "--out", "files", *PLUGIN]) == 0
    pack, train = (line.split()[1:] for line in COMMANDS)
    assert main([*pack, *PLUGIN]) == 0
    for file in (project / "waves").iterdir():
        file.unlink()
    assert main([*train, "--out", "run", *PLUGIN]) == 0
    assert same(weights("files"), weights("run"))
    config = "out: null\n" + (project / "my.yaml").read_text().replace("things.jsonl", "packed")
    (project / "packed.yaml").write_text(config.replace("train: {", "train: {window: 16, workers: 1, "))
    configure()
    assert_resume_exact(project / "packed.yaml", steps=6, stop=4, plugins=[WAVES])


def test_tar_shards_train_to_the_same_weights_and_resume_from_anywhere(project, tmp_path, monkeypatch):
    assert main(["train", "my.yaml", "--out", "files", *PLUGIN]) == 0
    rows = [json.loads(line) for line in (project / "things.jsonl").read_text().splitlines()]
    for shard in range(2):
        with tarfile.open(project / f"part-{shard}.tar", "w") as tar:
            for i, row in list(enumerate(rows))[12 * shard : 12 * shard + 12]:
                more = json.dumps({k: v for k, v in row.items() if k != "wave"}).encode()
                for suffix, data in [("txt", (project / row["wave"]).read_bytes()), ("json", more)]:
                    info = tarfile.TarInfo(f"{i:03}.{suffix}")
                    info.size = len(data)
                    tar.addfile(info, io.BytesIO(data))
    said = (
        (project / "my.yaml")
        .read_text()
        .replace("things.jsonl", "part-{0..1}.tar")
        .replace("wave: wave,", "wave: txt,", 1)
    )
    (project / "tars.yaml").write_text(said.replace("data: part-{0..1}.tar", 'data: "part-{0..1}.tar"'))
    stop = ["--set", "train.steps=2"]
    assert main(["train", "tars.yaml", "--out", "run", "--set", "train.schedule=constant", *stop, *PLUGIN]) == 0
    assert main(["train", "tars.yaml", "--out", "whole", *PLUGIN]) == 0
    assert same(weights("files"), weights("whole"))
    monkeypatch.chdir(tmp_path)
    assert main(["train", "--resume", "project/run", "--set", "train.steps=4", *PLUGIN]) == 0
    assert len(weights(project / "run")) == len(weights(project / "whole"))
    assert main(["embed", "project/run", "project/part-{0..1}.tar", "-o", "z.parquet", *PLUGIN]) == 0
    table = pq.read_table("z.parquet")
    assert table.column("__key__").to_pylist() == [f"{i:03}" for i in range(24)]
    assert table.column("z_wave").null_count == 0
    assert table.column("z_echo").null_count == sum(row["echo"] is None for row in rows)
    assert f"{project.resolve()}/part-{{0..1}}.tar" in (project / "run" / "config.yaml").read_text()


def test_a_reader_by_name_finds_its_files_from_the_config(project, tmp_path, monkeypatch):
    assert main(["pack", "my.yaml", "-o", "packed", *PLUGIN]) == 0
    said = (project / "my.yaml").read_text().replace("data: things.jsonl", "data: {use: packed, path: packed}")
    (project / "named.yaml").write_text(said)
    monkeypatch.chdir(tmp_path)
    assert main(["train", "project/named.yaml", "--out", "run", *PLUGIN]) == 0
    assert str(project.resolve() / "packed") in (tmp_path / "run" / "config.yaml").read_text()


def test_pack_says_what_is_wrong_in_one_line(project, capsys):
    assert main(["pack", "my.yaml", "-o", "packed", *PLUGIN]) == 0
    assert main(["pack", "my.yaml", "-o", "packed", *PLUGIN]) == 1
    assert capsys.readouterr().err == "error: packed holds something already; choose another folder\n"
    assert main(["init", "packed", *PLUGIN]) == 1
    assert "packed: a packed dataset; give it, as data: packed, to the config" in capsys.readouterr().err
    (project / "waves" / "3.txt").unlink()
    assert main(["pack", "my.yaml", "-o", "other", *PLUGIN]) == 0
    assert "packed 24 rows into 1 shards" in capsys.readouterr().out
    shard = project / "other" / "shard-00000.arrow"
    shard.write_bytes(shard.read_bytes()[:1000])
    assert main(["train", "my.yaml", "--set", "data=other", "--out", "r", *PLUGIN]) == 1
    said = capsys.readouterr().err
    assert re.fullmatch(r"error: .*other/shard-00000.arrow: cut short, 1,000 bytes where pack.json says [\d,]+\n", said)
