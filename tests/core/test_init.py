"""`contrapose init`: what it finds in folders and tables of modalities that only this test knows, and what it drafts for them."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import contrapose as cp
from contrapose.cli import main
from contrapose.data.folder import files_below
from contrapose.engine.build import Parts
from contrapose.plugins import configure
from contrapose.start.draft import Machine, batch_size, draft
from contrapose.start.found import Claim, Found

SCENTS = Path(__file__).with_name("scents.py")
ALONE = ("--plugin", str(SCENTS), "--allow-plugin", "nobody")
"""The invented modalities, and none that happens to be installed."""
QUICK = ("train.device=cpu", "train.workers=0", "train.threads=1", "train.epochs=2")


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    yield
    configure()


def write(path: str, seed: int = 0) -> None:
    file = Path(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(" ".join(f"{x:.4f}" for x in np.random.default_rng(seed).normal(size=8)))


def table(path: str, rows: list[dict[str, Any]]) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", newline="") as file:
        if path.endswith(".jsonl"):
            file.writelines(json.dumps(row) + "\n" for row in rows)
        else:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)


def init(*arguments: str) -> dict[str, Any]:
    """The config that init drafts, as a tree."""
    assert main(["init", *arguments, *ALONE]) == 0
    return cp.Config.load("contrapose.yaml").data


def trains() -> cp.Run:
    """The drafted config, trained as it stands but for its length."""
    sets = [part for value in QUICK for part in ("--set", value)]
    assert main(["train", "contrapose.yaml", *ALONE, *sets]) == 0
    return cp.load("runs/contrapose")


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["init", *arguments, *ALONE]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    return error


# --- folders ------------------------------------------------------------------------------------------------------------------


def test_a_folder_for_each_class(capsys: pytest.CaptureFixture[str]) -> None:
    for i in range(40):
        write(f"own/{'rose' if i % 2 else 'lily'}/{i}.scent", i)
    config = init("own")
    assert config["data"] == "own"
    assert config["meta"] == {"label": "folder"}
    assert config["split"] == {"test": 0.2, "seed": 0}
    assert config["modalities"] == {"scent": "."}
    assert config["views"] == {"scent": "waft"}
    assert config["encoders"] == {"scent": "nose"}
    assert config["method"] == "simclr"
    assert config["train"]["batch_size"] == 16
    said = capsys.readouterr().out
    assert "found 40 things in own" in said
    assert said.splitlines()[-3:] == [
        "  contrapose views contrapose.yaml",
        "  contrapose train contrapose.yaml",
        "  contrapose report runs/contrapose",
    ]
    found = trains().embed("test")["scent"]
    assert len(found.ids) == 8
    assert set(found.columns["label"].tolist()) == {0, 1}


def test_files_of_one_stem_join_and_may_lie_in_folders_of_their_own() -> None:
    for i in range(30):
        write(f"own/smells/{i}.scent", i)
        write(f"own/tunes/{i}.chord", i) if i % 3 else None
    config = init("own")
    assert config["modalities"] == {"chord": "tunes", "scent": "smells"}
    assert "meta" not in config
    assert config["views"]["scent"] == {"count": 2, "use": "waft"}
    assert config["views"]["chord"] == {"count": 2, "use": "detune", "sigma": 0.2}
    assert config["method"]["pairs"] == [["chord", "chord"], ["scent", "scent"], ["chord", "scent"]]
    found = trains().embed("train")
    assert 0 < len(found["chord"].ids) < len(found["scent"].ids) == 24


def test_files_side_by_side_join_in_the_whole_folder() -> None:
    for i in range(20):
        write(f"own/{'ab'[i % 2]}/{i}.scent", i)
        write(f"own/{'ab'[i % 2]}/{i}.chord", i)
    config = init("own")
    assert config["modalities"] == {"chord": ".", "scent": "."}
    assert config["meta"] == {"label": "folder"}


def test_top_folders_named_train_and_test_are_the_split() -> None:
    for i in range(40):
        write(f"own/{'test' if i % 4 == 0 else 'train'}/{'ab'[i % 2]}/{i}.scent", i)
    config = init("own")
    assert config["split"] == {"column": "top"}
    assert config["meta"] == {"label": "folder"}
    configure().load_file(SCENTS)
    assert {k: len(v) for k, v in Parts(cp.Config.load("contrapose.yaml")).splits.items()} == {"train": 30, "test": 10}


def test_a_folder_for_each_thing_is_no_label() -> None:
    for i in range(12):
        write(f"own/{i}/it.scent", i)
    assert "meta" not in init("own")


def test_files_that_nothing_joins_are_said_and_the_most_are_drafted(capsys: pytest.CaptureFixture[str]) -> None:
    for i in range(20):
        write(f"own/s{i}.scent", i)
        write(f"own/c{i}.chord", i) if i < 10 else None
    assert init("own")["modalities"] == {"scent": "."}
    assert "no chord and scent files share a stem (c0, s0)" in capsys.readouterr().out


def test_a_lone_file_of_another_kind_is_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    for i in range(20):
        write(f"own/{i}.scent", i)
    write("own/0.chord")
    assert init("own")["modalities"] == {"scent": "."}
    assert "own" not in (note := next(x for x in capsys.readouterr().out.splitlines() if x.startswith("note")))
    assert "0.chord left out: too few" in note


def test_what_a_run_writes_among_the_data_is_no_data(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    for i in range(20):
        write(f"own/{i}.scent", i)
    monkeypatch.chdir("own")
    init(".")
    assert "contrapose views contrapose.yaml -o ../views.png" in capsys.readouterr().out
    before = trains().reader("train").fingerprint()
    write("runs/contrapose/pictures/picture.scent")
    write(".hidden/thing.scent")
    assert len([f for f in files_below(Path(".")) if f.suffix == ".scent"]) == 20
    assert cp.load("runs/contrapose").reader("train").fingerprint() == before


# --- tables -------------------------------------------------------------------------------------------------------------------


def rows(count: int = 40) -> list[dict[str, Any]]:
    for i in range(count):
        write(f"own/smells/{i}.scent", i)
    return [
        {
            "id": f"n{i}",
            "smell": f"smells/{i}.scent" if i % 5 else "",
            "feel": ["glad", "sad", "calm"][i % 3],
            "price": i * 1.5,
            "film": f"films/{i}.mkv",
        }
        for i in range(count)
    ]


@pytest.mark.parametrize("name", ["own/all.csv", "own/all.jsonl"])
def test_a_table_s_columns_find_their_modalities(name: str) -> None:
    table(name, [{k: v or None for k, v in row.items()} for row in rows()])
    config = init(name)
    assert config["data"] == name
    assert config["modalities"] == {"scent": "smell", "mood": "feel"}
    assert config["views"] == {"scent": {"count": 2, "use": "waft"}, "mood.a": "identity", "mood.b": "swing"}
    assert config["encoders"] == {"scent": "nose", "mood": "gut"}
    text = Path("contrapose.yaml").read_text()
    assert "# meta: {label: feel}  # 3 values to score and colour by; then take it out of modalities" in text
    assert "# not used: [price, film, id]" in text
    found = trains().embed("train")
    assert len(found["mood"].ids) > len(found["scent"].ids) > 0


def test_columns_that_their_names_tell_apart() -> None:
    told = {"Label": "abc", "split": ["train", "train", "test"], "group": range(20)}
    table("own.csv", [row | {k: v[i % len(v)] for k, v in told.items()} for i, row in enumerate(rows())])
    Path("own/smells").rename("smells")
    config = init("own.csv")
    assert config["meta"] == {"label": "Label", "group": "group"}
    assert config["split"] == {"column": "split"}
    assert config["modalities"] == {"scent": "smell", "mood": "feel"}
    trains()


def test_names_that_what_they_hold_denies() -> None:
    told = {"label": range(40), "split": "abcd", "group": range(40), "id": "xy"}
    table("own/all.csv", [row | {k: v[i % len(v)] for k, v in told.items()} for i, row in enumerate(rows())])
    config = init("own/all.csv")
    assert "meta" not in config
    assert config["split"] == {"test": 0.2, "seed": 0}


def test_groups_stay_together_unless_they_cannot(capsys: pytest.CaptureFixture[str]) -> None:
    table("own/all.csv", [row | {"group": i // 4} for i, row in enumerate(rows())])
    assert init("own/all.csv")["split"] == {"by": "group", "test": 0.2, "seed": 0}
    table("own/all.csv", [row | {"group": i % 2} for i, row in enumerate(rows())])
    assert init("own/all.csv", "--force")["split"] == {"test": 0.2, "seed": 0}
    assert "note: not split by group: no group fell to 'test': 2 are too few or too unequal" in capsys.readouterr().out


def test_a_folder_with_a_table_that_names_its_files_is_that_table(capsys: pytest.CaptureFixture[str]) -> None:
    table("own/all.csv", rows())
    assert init("own")["data"] == "own/all.csv"
    table("own/other.csv", rows())
    assert "own holds several tables, all.csv, other.csv; give one" in refused(capsys, "own", "--force")


def test_a_folder_with_a_table_of_something_else_is_its_files(capsys: pytest.CaptureFixture[str]) -> None:
    rows()
    table("own/notes.csv", [{"who": "me", "when": i} for i in range(9)])
    (Path("own") / "broken.parquet").write_bytes(b"nothing")
    assert init("own")["data"] == "own"
    said = capsys.readouterr().out
    assert "own/notes.csv lies here too" in said
    assert "own/broken.parquet: can't be read as parquet" in said


def test_any_column_name_survives_the_draft() -> None:
    odd = "smell: {of} #1, 'x'\n[y]"
    table("own/all.jsonl", [{odd: row["smell"] or None, "yes": row["feel"], "a\nb": i} for i, row in enumerate(rows())])
    config = init("own/all.jsonl")
    assert config["modalities"] == {"scent": odd, "mood": "yes"}
    trains()


# --- sizes, and the shape of the graph ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("things", "batch"),
    [(6, 4), (8, 8), (16, 16), (100, 16), (128, 16), (511, 32), (512, 64), (2048, 256), (10**6, 256)],
)
def test_batches_leave_steps(things: int, batch: int) -> None:
    assert batch_size(things) == batch


def found(things: int, *names: str) -> Found:
    claims = {name: Claim([name], np.ones(things, bool), "v", "e") for name in names}
    return Found(Path("x"), "table", things, claims, split={"column": "s"}, train=things)


def drafted(found: Found, machine: Machine) -> dict[str, Any]:
    Path("drafted.yaml").write_text(draft(found, "x", machine))
    return cp.Config.load("drafted.yaml").data


def test_a_cpu_gets_minutes_and_a_gpu_more() -> None:
    cpu = drafted(found(4096, "a"), Machine(gpu=False, cores=8))["train"]
    gpu = drafted(found(4096, "a"), Machine(gpu=True, cores=8))["train"]
    assert cpu == {"epochs": 97, "batch_size": 256, "lr": 1e-3, "workers": 4, "threads": 4}
    assert gpu == {"epochs": 200, "batch_size": 256, "lr": 1e-3, "workers": 7}
    assert drafted(found(4096, "a", "b"), Machine(gpu=False, cores=8))["train"]["epochs"] == 48
    lone = drafted(found(10**6, "a"), Machine(gpu=False, cores=1))["train"]
    assert lone == {"epochs": 1, "batch_size": 256, "lr": 1e-3, "workers": 0, "threads": 1}
    assert "# 3,906 steps, longer;" in Path("drafted.yaml").read_text()


def test_few_modalities_are_all_joined_and_many_by_a_hub() -> None:
    machine = Machine(gpu=False, cores=2)
    three = drafted(found(64, "a", "b", "c"), machine)["method"]["pairs"]
    assert three[3:] == [["a", "b"], ["a", "c"], ["b", "c"]]
    four = found(64, "a", "b", "c", "d")
    four.modalities["a"].has[:32] = False
    four.modalities["d"].has[32:] = False  # never with a
    assert drafted(four, machine)["method"]["pairs"][4:] == [["b", "a"], ["b", "c"], ["b", "d"]]
    apart = found(64, "a", "b")
    apart.modalities["a"].has[:32] = False
    apart.modalities["b"].has[32:] = False
    assert drafted(apart, machine)["method"]["pairs"] == [["a", "a"], ["b", "b"]]


# --- messages -----------------------------------------------------------------------------------------------------------------


def test_a_config_that_is_there_stays() -> None:
    rows()
    Path("contrapose.yaml").write_text("mine")
    assert main(["init", "own", *ALONE]) == 1
    assert Path("contrapose.yaml").read_text() == "mine"
    assert init("own", "--force")["data"] == "own"


def test_paths_are_relative_to_the_config() -> None:
    rows()
    Path("configs").mkdir()
    assert main(["init", "own", "-o", "configs/mine.yaml", *ALONE]) == 0
    assert cp.Config.load("configs/mine.yaml").data["data"] == "../own"


def test_what_cannot_be_begun_with_is_said_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    Path("empty").mkdir()
    Path("alien").mkdir()
    Path("alien/1.xyz").touch()
    Path("alien/README").touch()
    Path("file.txt").touch()
    assert "nowhere: no such file or folder" in refused(capsys, "nowhere")
    assert "file.txt: not a table; give a folder, or a file that ends in .parquet" in refused(capsys, "file.txt")
    assert "empty: nothing here that an installed plugin reads (the folder is empty)" in refused(capsys, "empty")
    alien = refused(capsys, "alien")
    assert "it holds 1 .xyz, 1 no suffix" in alien
    assert "there is chord (.chord), mood, scent (.scent). For other kinds: pip install contrapose-<modality>" in alien
    table("own/few.csv", rows(7))
    assert "own/few.csv: 7 things are too few to tell apart; give 8 or more" in refused(capsys, "own/few.csv")
    assert "own/smells: 7 things are too few to tell apart" in refused(capsys, "own/smells")
    rows(10)
    assert "can't write nowhere/c.yaml: No such file" in refused(capsys, "own", "-o", "nowhere/c.yaml")
    assert not Path("contrapose.yaml").exists()


def test_files_that_are_not_there_are_said_before_anything_is_written(capsys: pytest.CaptureFixture[str]) -> None:
    table("own/all.csv", [row | {"smell": f"gone/{i}.scent"} for i, row in enumerate(rows())])
    assert "scent: gone/0.scent: " in (error := refused(capsys, "own/all.csv"))
    assert "paths start at the table's folder" in error
    assert not Path("contrapose.yaml").exists()


def test_a_broken_file_is_a_note(capsys: pytest.CaptureFixture[str]) -> None:
    for i in range(20):
        write(f"own/{i:02}.scent", i)
    Path("own/00.scent").write_text("no numbers")
    init("own")
    assert "note: scent: 00.scent: could not convert" in capsys.readouterr().out
    trains()


def test_without_any_plugin(capsys: pytest.CaptureFixture[str]) -> None:
    rows()
    assert main(["init", "own", "--allow-plugin", "nobody"]) == 1
    assert "error: no modality is installed: pip install contrapose-<modality>" in capsys.readouterr().err
