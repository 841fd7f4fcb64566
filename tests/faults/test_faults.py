"""Whatever goes wrong on the user's side ends in one clear line and a non-zero exit, never in a traceback."""

from __future__ import annotations

import os
import resource
import shutil
import sys
from pathlib import Path

import pytest
from tests.end_to_end.waves import write_project

from contrapose.cli import main

WAVES = Path(__file__).parents[1] / "end_to_end" / "waves.py"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return write_project(tmp_path / "project", train=", steps: 6")


def train(*words: object) -> int:
    return main(["train", "--plugin", str(WAVES), *map(str, words)])


def the_error(capsys) -> str:
    """The one line of the error, which is all that stderr holds of it."""
    err = capsys.readouterr().err
    lines = [line for line in err.splitlines() if line.startswith("error:")]
    assert len(lines) == 1, err
    assert "Traceback" not in err
    return lines[0]


def put(config: Path, old: str, new: str) -> int:
    """Change the config's text; the line that changed."""
    text = config.read_text()
    assert old in text
    config.write_text(text.replace(old, new))
    return text[: text.index(old)].count("\n") + 1


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("lr: 3e-3", "lrr: 3e-3", "train.lrr: unknown key 'lrr'; did you mean 'lr'?"),
        ("lr: 3e-3", "lr: fast", "train.lr: expected a number, got 'fast'"),
        ("sigma: 0.2", "sigma: loud", "views.wave.sigma: expected a number, got 'loud'"),
        ("sigma: 0.2", "sigmo: 0.2", "has no argument 'sigmo'; did you mean 'sigma'?"),
        ("echo: hiss", "echo: hisss", "did you mean 'hiss'?"),
        ("wave: wave-net", "wave: wav-net", "did you mean 'wave-net'?"),
        ("loss: nce", "loss: mce", "did you mean 'nce'?"),
        ("epochs: 4", "epochs: 4, optimizer: adamx", "train.optimizer: no optimizer 'adamx'; did you mean 'adam'?"),
        ("epochs: 4", "epochs: 4, schedule: cosin", "train.schedule: no schedule 'cosin'; did you mean 'cosine'?"),
        (", echo: echo-net", "", "encoders: modality 'echo' has no encoder; add one"),
        ("echo: echo-net", "echo: wave-net", "encoders.echo: this encoder reads wave, not echo"),
        ("things.jsonl", "nothing.jsonl", "nothing.jsonl"),
        ("batch_size: 8", "batch_size: 800", "train.batch_size"),
        ("wave: wave,", "wave: column_7,", "modalities.wave: the data have no column 'column_7'"),
    ],
)
def test_a_wrong_config_is_one_line_that_names_the_place(project: Path, capsys, old, new, said) -> None:
    line = put(project, old, new)
    assert train(project, "--out", project.parent / "run") == 1
    error = the_error(capsys)
    assert said in error
    assert error.startswith(f"error: {project}:{line}: ") or "nothing.jsonl" in error
    assert not (project.parent / "run").exists()


def test_no_such_config(tmp_path: Path, capsys) -> None:
    assert train(tmp_path / "none.yaml") == 1
    assert "none.yaml" in the_error(capsys)


def test_neither_config_nor_run(capsys) -> None:
    assert train() == 1
    assert "give a config" in the_error(capsys)


def test_a_plugin_that_is_not_installed_says_what_to_install(project: Path, capsys) -> None:
    put(project, "modalities: {wave: wave, echo: echo}", "modalities: {wave: wave, smell: echo}")
    assert train(project) == 1
    assert "modality 'smell' is not installed; those of contrapose: pip install contrapose-<modality>" in the_error(
        capsys
    )


def test_a_component_of_a_plugin_that_is_not_installed_says_what_to_install(project: Path, capsys) -> None:
    put(project, "echo: echo-net", "echo: smell/net")
    assert train(project) == 1
    assert "no plugin 'smell' is installed; those of contrapose: pip install contrapose-<modality>" in the_error(capsys)


def test_an_empty_dataset(project: Path, capsys) -> None:
    (project.parent / "things.jsonl").write_text("")
    assert train(project) == 1
    assert "things.jsonl" in the_error(capsys)


@pytest.mark.skipif("__import__('torch').cuda.is_available()")
def test_cuda_asked_for_but_absent(project: Path, capsys) -> None:
    assert train(project, "--set", "train.device=cuda") == 1
    assert "train.device: CUDA was asked for" in the_error(capsys)


def test_corrupt_files_are_skipped_counted_and_listed(project: Path, capsys) -> None:
    for i in (0, 1, 2):
        (project.parent / "waves" / f"{i}.txt").write_text("0.1 0.2 zero")
    (project.parent / "waves" / "3.txt").unlink()
    run = project.parent / "run"
    assert train(project, "--out", run, "--set", "train.steps=10") == 0
    out = capsys.readouterr().out
    said = f"4 of 40 samples (10.0 %) had something unreadable, 4 items in all: see {run / 'skipped.csv'}"
    assert said in out
    lines = (run / "skipped.csv").read_text().splitlines()
    assert lines[0] == "sample,modality,reason"
    assert sorted(int(line.split(",")[0]) for line in lines[1:]) == [0, 1, 2, 3]
    assert all(line.split(",")[1] == "wave" for line in lines[1:])


def test_many_corrupt_rows_are_told_by_the_exit_status_and_the_report(project: Path, capsys) -> None:
    corrupt = [i for i in range(40) if i % 6 != 5][:8]  # of the 40 that train
    for i in corrupt:
        (project.parent / "waves" / f"{i}.txt").write_text("torn")
    run = project.parent / "run"
    assert train(project, "--out", run, "--set", "train.steps=10") == 3
    assert "8 of 40 samples (20.0 %) had something unreadable" in capsys.readouterr().out
    assert len((run / "metrics.csv").read_text().splitlines()) == 1 + 10
    assert train("--resume", run) == 3
    assert main(["report", str(run), "--plugin", str(WAVES)]) == 0
    page = (run / "report.html").read_text()
    assert all(f"waves/{i}.txt: could not convert" in page for i in corrupt)


def test_a_dataset_of_nothing_but_corrupt_files_still_gives_finite_steps(project: Path, capsys) -> None:
    put(project, "modalities: {wave: wave, echo: echo}", "modalities: {wave: wave}")
    put(project, "  echo: hiss\n", "")
    put(project, "{wave: wave-net, echo: echo-net}", "{wave: wave-net}")
    for file in (project.parent / "waves").iterdir():
        file.write_text("no numbers")
    run = project.parent / "run"
    assert train(project, "--out", run) == 3
    assert [line.split(",")[3] for line in (run / "metrics.csv").read_text().splitlines()[1:]] == ["0.0"] * 6


def test_a_loss_that_is_not_finite_stops_and_keeps_the_last_good_checkpoint(project: Path, capsys) -> None:
    put(project, "wave: wave-net", "wave: {use: nan-net, after: 9}")
    run = project.parent / "run"
    assert train(project, "--out", run, "--set", "train.checkpoint_every=2", "--set", "train.steps=12") == 1
    error = the_error(capsys)
    assert "term 'info_nce' of the loss is nan at step " in error
    step = int(error.split("at step ")[1].split(",")[0])
    ids = error.split("samples ")[1].split(":")[0].split(", ")
    assert len(ids) == 8
    kept = sorted(int(p.name[5:]) for p in (run / "checkpoints").iterdir())
    assert max(kept) < step


def test_a_folder_that_holds_a_run_is_not_written_over(project: Path, capsys) -> None:
    run = project.parent / "run"
    assert train(project, "--out", run) == 0
    before = {p: p.read_bytes() for p in run.rglob("*") if p.is_file()}
    assert train(project, "--out", run) == 1
    assert f"already holds a run: go on with it by --resume {run}" in the_error(capsys)
    assert {p: p.read_bytes() for p in run.rglob("*") if p.is_file()} == before


def test_resuming_what_is_no_run(tmp_path: Path, capsys) -> None:
    assert train("--resume", tmp_path) == 1
    assert "is no run" in the_error(capsys)


def test_a_run_is_not_resumed_by_another_config(project: Path, capsys) -> None:
    run = project.parent / "run"
    assert train(project, "--out", run) == 0
    assert train(project, "--resume", run, "--set", "train.lr=0.5") == 1
    assert "train.lr: the run was started with 0.003, not 0.5" in the_error(capsys)
    assert train(project, "--resume", run, "--set", "train.steps=8") == 0


def test_a_checkpoint_of_another_method(project: Path, capsys) -> None:
    a, b = project.parent / "a", project.parent / "b"
    assert train(project, "--out", a) == 0
    assert train(project, "--out", b, "--set", "method.terms.info_nce.tau=0.5") == 0
    capsys.readouterr()
    shutil.rmtree(a / "checkpoints")
    shutil.copytree(b / "checkpoints", a / "checkpoints")
    assert train("--resume", a, "--set", "train.steps=9") == 1
    assert "is of another method" in the_error(capsys)


def test_a_truncated_checkpoint_falls_back_with_a_warning(project: Path, capsys) -> None:
    whole, run = project.parent / "whole", project.parent / "run"
    assert train(project, "--out", whole, "--set", "train.checkpoint_every=2") == 0
    shutil.copytree(whole, run)
    last = run / "checkpoints" / "step-00000006" / "model.safetensors"
    last.write_bytes(last.read_bytes()[:100])
    capsys.readouterr()
    assert train("--resume", run) == 0
    assert "warning: checkpoint step-00000006 is damaged" in capsys.readouterr().out
    assert last.read_bytes() == (whole / "checkpoints" / "step-00000006" / "model.safetensors").read_bytes()


def test_a_disk_that_fills_up_while_saving(project: Path, tmp_path: Path) -> None:
    """A real write that fails, in a process whose files may not grow: the line, the exit code, the previous checkpoint."""
    run = project.parent / "run"
    assert train(project, "--out", run) == 0
    size = (run / "checkpoints" / "step-00000006" / "model.safetensors").stat().st_size
    child = os.fork()
    if child == 0:
        with open(tmp_path / "err", "w", buffering=1) as sys.stderr:
            resource.setrlimit(resource.RLIMIT_FSIZE, (size - 1, size - 1))
            os._exit(train("--resume", run, "--set", "train.steps=9"))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1
    said = (tmp_path / "err").read_text()
    assert said.startswith("error: could not save checkpoint step-00000009")
    assert said.count("\n") == 1
    assert sorted(p.name for p in (run / "checkpoints").iterdir()) == ["step-00000005", "step-00000006"]
    assert train("--resume", run, "--set", "train.steps=9") == 0
