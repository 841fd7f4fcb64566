"""``contrapose search`` on three invented modalities: one of files, one of lists, one of two columns."""

import json
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
from tests.end_to_end.waves import write_project

import contrapose as cp
from contrapose.cli import main
from contrapose.evaluate.query import parse_query
from contrapose.evaluate.search import gallery, search
from contrapose.plugins import configure
from contrapose.report.search import search_sheet, things_found
from contrapose.types import Sample

PLUGINS = [Path(__file__).parents[1] / "end_to_end" / "waves.py", Path(__file__).with_name("dials.py")]
OPTIONS = [word for file in PLUGINS for word in ("--plugin", str(file))]

CONFIG = """\
data: things.jsonl
meta: {label: pitch}
split: {column: part}
modalities: {wave: wave, echo: echo, dial: [early, late]}
views: {wave: {use: wobble, sigma: 0.1}, echo: hiss, dial: turn}
encoders: {wave: wave-net, echo: echo-net, dial: dial-net}
method: {use: pair-graph, pairs: [[wave, echo], [wave, dial]], hidden: 32, out: 16}
train: {epochs: 40, batch_size: 20, lr: 5e-3, threads: 1, device: cpu, loggers: []}
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A folder with ``my.yaml``, ``things.jsonl``, and ``run``, trained on it."""
    folder = tmp_path_factory.mktemp("search")
    write_project(folder, samples=60)
    rows = [json.loads(line) for line in (folder / "things.jsonl").read_text().splitlines()]
    for row in rows:
        wave = [float(x) for x in (folder / row["wave"]).read_text().split()]
        row |= {"early": wave[2], "late": wave[20]}
    write(folder / "things.jsonl", rows)
    (folder / "my.yaml").write_text(CONFIG)
    assert main(["train", str(folder / "my.yaml"), "--out", str(folder / "run"), *OPTIONS]) == 0
    yield folder
    configure()


@pytest.fixture
def rows(project):
    return [json.loads(line) for line in (project / "things.jsonl").read_text().splitlines()]


@pytest.fixture
def run(project):
    offer()
    return cp.load(project / "run")


def offer():
    registry = configure()
    for file in PLUGINS:
        registry.load_file(file)


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def drawn(path):
    pixels = plt.imread(path)[..., :3]
    assert pixels.std() > 0.02, "blank"
    return pixels


def test_a_wave_finds_its_own_echo(run, project):
    """Over training things, whose echoes the run has learnt: chance is 3 in their number, about 7 %."""

    def found(by):
        waves = by.embed("train")["echo"].ids[:20].tolist()
        each = {i: search(by, "train", {"wave": str(project / f"waves/{i}.txt")}, ["echo"], k=3) for i in waves}
        assert all(f.to == ["echo"] and f.things > 40 and len(f.hits) == 3 for f in each.values())
        return np.mean([i in [hit.id for hit in f.hits] for i, f in each.items()])

    assert found(run) > max(0.5, 2 * found(run.untrained()))


def test_scores_are_cosines_of_the_projected_space_and_their_mean_over_what_a_thing_has(run):
    made = {m: dict(zip(e.ids.tolist(), unit(e.z), strict=True)) for m, e in run.embed("test").items()}
    row = min(made["echo"])
    found = search(run, "test", {"row": row}, k=100, from_=["wave"])
    assert found.to == ["echo", "dial"]
    assert {h.id for h in found.hits} == set(made["wave"])
    assert any("echo" not in h.by for h in found.hits)
    for hit in found.hits:
        expected = {m: made["wave"][row] @ made[m][hit.id] for m in ("echo", "dial") if hit.id in made[m]}
        assert hit.by == pytest.approx(expected, abs=1e-5)
        assert hit.cosine == pytest.approx(np.mean(list(expected.values())), abs=1e-5)
    cosines = [h.cosine for h in found.hits]
    assert cosines == sorted(cosines, reverse=True)
    assert [h.id for h in search(run, "test", {"row": row}, k=3, from_=["wave"]).hits] == [h.id for h in found.hits[:3]]


def test_a_row_is_marked_across_modalities_and_left_out_of_its_own(run):
    reader = gallery(run)
    row = next(s.id for s in (reader[i] for i in range(len(reader))) if "echo" in s.data)
    across = search(run, None, {"row": row}, ["echo"], k=100, from_=["wave"])
    assert [h.id for h in across.hits if h.own] == [row]
    within = search(run, None, {"row": row}, ["wave"], k=100, from_=["wave"])
    assert row not in [h.id for h in within.hits]
    assert within.things == len(reader) - 1
    assert not any(h.own for h in within.hits)
    whole = search(run, None, {"row": row}, k=100)
    assert whole.to == ["wave", "echo", "dial"] == list(whole.query.data)
    assert row not in [h.id for h in whole.hits]


def test_several_parts_are_asked_by_their_mean(run, project, rows):
    wave, dial = rows[0]["wave"], {"early": rows[0]["early"], "late": None}
    load = {m: modality.load for m, modality in run.parts.modalities.items()}
    asked = {"wave": load["wave"]({"wave": wave}, project), "dial": load["dial"](dial, project)}
    made = run.embed([Sample(0, asked)])
    mean = unit(made["wave"].z[0]) + unit(made["dial"].z[0])
    echo = run.embed("test")["echo"]
    scores = unit(echo.z) @ unit(mean)
    found = search(run, "test", {"wave": str(project / wave), "dial": dial}, k=4)
    assert found.to == ["echo"]
    assert [h.id for h in found.hits] == echo.ids[np.argsort(-scores)[:4]].tolist()
    assert found.hits[0].cosine == pytest.approx(scores.max(), abs=1e-5)


def test_the_command_prints_a_table_and_draws_what_it_found(project, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(project)
    out = tmp_path / "made" / "s.png"
    search = ["search", str(project / "run"), *OPTIONS, "-o", str(out)]
    assert main([*search, "things.jsonl", "--query", "wave=waves/3.txt", "-k", "3"]) == 0
    said = capsys.readouterr().out
    assert "wave → echo, dial, among 60" in said
    assert str(out) in said
    small = drawn(out)
    assert main([*search, "things.jsonl", "--query", "dial={early: 0.5, late: -0.2}", "-k", "10"]) == 0
    assert drawn(out).shape[1] > small.shape[1]
    assert drawn(out).shape[0] > small.shape[0] + 300  # a second line of things
    assert main([*search, "--query", "row=5", "--from", "wave", "--to", "dial", "--json"]) == 0
    said = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert said["to"] == ["dial"]
    assert said["picture"] == str(out)
    assert [list(hit["by"]) for hit in said["hits"]] == [["dial"]] * 8
    assert {hit["label"] for hit in said["hits"]} <= {"p1", "p2", "p3", "p4"}
    green = np.abs(drawn(out) - np.array([26, 152, 80]) / 255).max(axis=2) < 0.03
    assert (green.sum() > 200) == any(hit["own"] for hit in said["hits"])


def test_what_cannot_be_read_is_skipped_and_said(project, rows, tmp_path, capsys):
    part = [
        {"wave": str(Path("w") / f"{i}.txt"), "early": r["early"], "late": r["late"]} for i, r in enumerate(rows[:6])
    ]
    (tmp_path / "w").mkdir()
    for i in range(5):
        (tmp_path / "w" / f"{i}.txt").write_text((project / rows[i]["wave"]).read_text())
    (tmp_path / "w" / "2.txt").write_text("1 2 three")
    data = write(tmp_path / "part.jsonl", part)
    command = ["search", str(project / "run"), str(data), *OPTIONS, "-o", str(tmp_path / "s.png")]
    assert main([*command, "--query", "dial={early: 1}", "--to", "wave"]) == 0
    said = capsys.readouterr().out
    assert "among 4" in said
    assert said.count("skipped: row") == 2
    assert "skipped: row 2, wave: " in said
    assert "three" in said
    assert main([*command, "--query", "row=2"]) == 0  # by its dial alone
    assert main([*command, "--query", "row=2", "--from", "wave"]) == 1
    assert "row 2 has no wave that can be read" in capsys.readouterr().err
    assert main([*command, "--query", "dial={early: 1}", "--to", "echo"]) == 1
    assert "the data have no echo; there is wave, dial" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--query", "wav=x"], "the run has no modality 'wav', only wave, echo, dial; did you mean 'wave'?"),
        (["--query", "smell=x"], "the run has no modality 'smell', only wave, echo, dial"),
        (["--query", "row=5", "--to", "dail"], "did you mean 'dial'"),
        (["--query", "row=5", "--from", "wvae"], "did you mean 'wave'"),
        (["--query", "wave"], "write KEY=VALUE"),
        (["--query", "wave="], "the query's wave is empty"),
        (["--query", "wave=nowhere.txt"], "the query's wave can't be read: "),
        (["--query", "dial={early: , late: }"], "the query's dial is empty"),
        (["--query", "dial=5"], "dial is made of 2 columns; give values of some of them, dial={early: ..., late: ...}"),
        (["--query", "dial={erly: 5}"], "dial has no column 'erly'; did you mean 'early'?"),
        (["--query", "dial={early: 5"], "--query dial:1: "),
        (["--query", "dial={early: soon}"], "the query's dial can't be read: a dial shows numbers"),
        (["--query", "row=x"], "a row is a whole number"),
        (["--query", "row=0"], "there is no row 0 among these 10"),
        (["--query", "row=5", "--query", "row=6"], "row is given twice"),
        (["--query", "row=5", "--query", "dial={early: 1}"], "dial is given twice, by itself and by row 5"),
        (["--query", "dial={early: 1}", "--from", "wave"], "no row is asked for"),
        ([], "give a query"),
        (["tset", "--query", "row=5"], "neither data nor a split of the run; did you mean 'test'?"),
        (["nowhere.csv", "--query", "row=5"], "nowhere.csv"),
    ],
)  # fmt: skip
def test_each_mistake_is_said_in_one_line(project, tmp_path, capsys, words, said):
    data, options = (words[:1], words[1:]) if words and "--" not in words[0] else ([], words)
    assert main(["search", str(project / "run"), *data, *OPTIONS, "-o", str(tmp_path / "s.png"), *options]) == 1
    error = capsys.readouterr().err.strip()
    assert error.startswith("error: ")
    assert "\n" not in error
    assert said in error
    assert not (tmp_path / "s.png").exists()


def test_a_row_without_the_modality_and_data_without_anything_are_said(run, project, rows, tmp_path):
    row = next(i for i, r in enumerate(rows) if r["echo"] is None and r["part"] == "train")
    with pytest.raises(cp.DataError, match=f"row {row} has no echo; it has wave, dial"):
        search(run, "train", {"row": row}, ["wave"], from_=["echo"])
    with pytest.raises(cp.DataError, match="none of the run's columns"):
        search(run, write(tmp_path / "other.jsonl", [{"name": "a"}]), {"dial": {"early": 1.0}})
    blank = write(tmp_path / "blank.jsonl", [{"echo": None, "early": 1.0, "late": 2.0}])
    with pytest.raises(cp.DataError, match="none of the 1 rows has echo"):
        search(run, blank, {"dial": {"early": 1.0}}, ["echo"])
    with pytest.raises(cp.DataError, match="nothing but row 0 itself"):
        search(run, blank, {"row": 0})


def test_modalities_of_unlike_width_share_no_space(project, tmp_path):
    offer()
    config = cp.Config.load(project / "my.yaml", ["train.steps=1"]).data
    branches = {m: {"views": f"{m}/*", "projector": {"use": "linear", "out": out}} for m, out in
                {"wave": 8, "echo": 8, "dial": 4}.items()}  # fmt: skip
    pair = {"query": "wave", "keys": ["echo"], "positives": "same(sample)", "loss": "nce"}
    own = {"query": "dial", "keys": ["dial"], "positives": "same(sample)", "loss": "nce"}
    config |= {"method": {"branches": branches, "terms": {"a": pair, "b": own}}, "data": str(project / "things.jsonl")}
    run = cp.train(config, out=tmp_path / "run", quiet=True)
    assert search(run, "test", {"row": 5}, from_=["wave"]).to == ["echo"]
    with pytest.raises(cp.ConfigError, match="dial and wave share no space"):
        search(run, "test", {"row": 5}, ["dial"], from_=["wave"])
    with pytest.raises(cp.ConfigError, match="share no space in this run, so they can't be one query"):
        search(run, "test", {"row": 5})


def test_a_query_is_read_as_it_is_typed():
    columns = {"text": None, "table": ["w", "h"], "list": "cells"}
    typed = ["text=a = {b}", "table={w: 60, h: 1e-1}", "list={cells: [1, 2]}", "row=7"]
    assert parse_query(typed, columns) == {
        "text": "a = {b}", "table": {"w": 60, "h": 0.1}, "list": {"cells": [1, 2]}, "row": 7
    }  # fmt: skip
    assert parse_query(["text={curly} words"], columns) == {"text": "{curly} words"}
    assert parse_query(["text={curly}"], columns) == {"text": "{curly}"}


def test_a_query_file_may_lie_anywhere(run, project, tmp_path, monkeypatch):
    monkeypatch.chdir(project / "waves")
    near = search(run, "test", {"wave": "3.txt"}, k=3)
    monkeypatch.chdir(tmp_path)
    assert search(run, "test", {"wave": str(project / "waves" / "3.txt")}, k=3).hits == near.hits
    monkeypatch.chdir(project / "run")
    assert search(run, "test", {"wave": "../waves/3.txt"}, k=3).hits == near.hits


def test_a_folder_of_files_is_searched_for_the_modalities_that_read_them(run, project, tmp_path, monkeypatch):
    with pytest.raises(cp.DataError, match="wave, echo, dial come from no files of their own; write a manifest"):
        search(run, project / "waves", {"dial": {"early": 1.0}})
    monkeypatch.setattr(run.parts.modalities["wave"], "extensions", (".txt",), raising=False)
    found = search(run, project / "waves", {"wave": str(project / "waves" / "12.txt")}, k=1)
    assert found.to == ["wave"]
    assert found.things == 60
    thing, things = things_found(run, found)
    assert things[0].label == "12"
    assert found.hits[0].cosine == pytest.approx(1.0, abs=1e-5)
    assert search(run, project, {"dial": {"early": 1.0}}).things == 60
    drawn(search_sheet(found, thing, things, tmp_path / "s.png"))


def unit(z):
    return z / np.linalg.norm(z, axis=-1, keepdims=True)
