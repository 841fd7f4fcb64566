"""``views``, ``evaluate`` and ``embed`` on an invented run, from the command line."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from tests.end_to_end.waves import write_project

import contrapose as cp
from contrapose.cli import main
from contrapose.plugins import configure

WAVES = Path(__file__).parents[1] / "end_to_end" / "waves.py"
PLUGIN = ["--plugin", str(WAVES)]


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    yield write_project(tmp_path_factory.mktemp("report") / "project")
    configure()


@pytest.fixture(scope="module")
def run(project):
    out = project.parent / "run"
    assert main(["train", str(project), "--out", str(out), "--set", "train.epochs=6", *PLUGIN]) == 0
    return out


def test_evaluate_prints_a_table_and_writes_numbers_and_pictures(run, capsys):
    assert main(["evaluate", str(run), *PLUGIN]) == 0
    said = capsys.readouterr().out
    assert "wave → echo" in said
    assert "untrained" in said
    saved = json.loads((run / "evaluation.json").read_text())
    by_name = {(r["metric"], r["of"]): r for r in saved["rows"]}
    # 8 test rows, of which one or two lack an echo: the gallery is those that have both.
    both = by_name["R@1", "wave → echo"]["queries"]
    assert by_name["R@1", "wave → echo"]["chance"] == pytest.approx(1 / both)
    assert both < by_name["kNN", "wave"]["queries"] == 8
    pictures = {p.name for p in (run / "pictures").iterdir()}
    assert pictures == {"loss.png", "embeddings.png", "retrieval_wave_to_echo.png", "retrieval_echo_to_wave.png"}
    assert all(f"pictures/{name}" in said for name in pictures)


def test_evaluate_can_do_less(run, capsys):
    assert main(["evaluate", str(run), "--split", "train", "--no-baseline", "--no-pictures", *PLUGIN]) == 0
    said = capsys.readouterr().out
    assert "train rows" in said
    assert "untrained" not in said
    assert "picture" not in said
    assert main(["evaluate", str(run), "--split", "tset", *PLUGIN]) == 1
    assert "no split 'tset'" in capsys.readouterr().err


def test_the_nearest_row_of_itself_is_drawn_first(run):
    configure().load_file(WAVES)
    from contrapose.evaluate.evaluate import embedded
    from contrapose.report.pictures import nearest

    tables = embedded(cp.load(run), "test").tables("test", "projected")
    for query, hits in nearest(tables["wave"], tables["wave"], 4, 3):
        assert hits[0] == (query, pytest.approx(1.0, abs=1e-5))
        assert hits[0][1] >= hits[1][1] >= hits[2][1]
    assert {i for _, hits in nearest(tables["wave"], tables["echo"], 9, 9) for i, _ in hits} == set(tables["echo"].ids)


def test_embed_writes_a_vector_a_row_and_null_where_there_is_none(run, project, tmp_path, capsys):
    source = project.parent / "things.jsonl"
    lines = source.read_text().splitlines()
    (project.parent / "waves" / "broken.txt").write_text("1 2 three")
    broken = json.dumps({**json.loads(lines[0]), "wave": "waves/broken.txt"})
    other = project.parent / "other.jsonl"
    other.write_text("\n".join([broken, *lines[1:12]]) + "\n")
    out = tmp_path / "made" / "z.parquet"
    assert main(["embed", str(run), str(other), "-o", str(out), *PLUGIN]) == 0
    said = capsys.readouterr().out
    table = pq.read_table(out)
    assert table.column("pitch").to_pylist() == [json.loads(line)["pitch"] for line in lines[:12]]
    assert table.column("id").to_pylist() == list(range(12))
    assert "echo" not in table.column_names  # a list: no plain column
    assert str(table.schema.field("z_wave").type) == "fixed_size_list<element: float>[16]" or (
        table.schema.field("z_wave").type.list_size == 16
    )
    wave, echo = table.column("z_wave").to_pylist(), table.column("z_echo").to_pylist()
    assert [i for i, z in enumerate(wave) if z is None] == [0]
    assert [i for i, z in enumerate(echo) if z is None] == [3, 10]  # missing, not skipped
    assert said.count("skipped:") == 1
    assert "row 0, wave: " in said
    assert "three" in said

    configure().load_file(WAVES)
    direct = cp.load(run).embed(other, head="pooled")["wave"]
    np.testing.assert_array_equal(np.array(wave[1:], np.float32), direct.z)
    assert main(["embed", str(run), str(other), "-o", str(out), "--head", "projected", *PLUGIN]) == 0
    assert pq.read_table(out).schema.field("z_wave").type.list_size == 8


def test_embed_takes_a_manifest_with_some_of_the_columns(run, project, tmp_path, capsys):
    part = project.parent / "part.csv"
    part.write_text("id,wave\nfirst,waves/1.txt\nsecond,waves/2.txt\n")
    out = tmp_path / "z.parquet"
    assert main(["embed", str(run), str(part), "-o", str(out), *PLUGIN]) == 0
    table = pq.read_table(out)
    assert table.column_names == ["id", "wave", "z_wave"]
    assert table.column("id").to_pylist() == ["first", "second"]
    part.write_text("name\nx\n")
    capsys.readouterr()
    assert main(["embed", str(run), str(part), "-o", str(out), *PLUGIN]) == 1
    assert "none of the run's columns (wave: wave; echo: echo)" in capsys.readouterr().err
    assert main(["embed", str(run), "nowhere.csv", "-o", str(out), *PLUGIN]) == 1
    assert "nowhere.csv: No such file" in capsys.readouterr().err


def test_views_draws_what_training_would_see_and_what_fails(project, tmp_path, capsys):
    out = tmp_path / "views.png"
    assert main(["views", str(project), "-n", "3", "-o", str(out), *PLUGIN]) == 0
    assert out.stat().st_size > 10_000
    assert "failed" not in capsys.readouterr().out
    for sample in json.loads(f"[{','.join((project.parent / 'things.jsonl').read_text().splitlines())}]"):
        (project.parent / sample["wave"]).write_text("not numbers")
    assert main(["views", str(project), "-n", "3", "-o", str(out), *PLUGIN]) == 0
    assert capsys.readouterr().out.count("failed: sample ") == 3
    assert main(["views", str(project), "--split", "vla", "-o", str(out), *PLUGIN]) == 1
    assert "no split 'vla'" in capsys.readouterr().err
