"""A run that stops early: at the least loss on a split that it isn't trained on, exactly resumed."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from tests.end_to_end.waves import write_project

from contrapose.engine.early_stopping import best_step, read_validation
from contrapose.engine.run import load, train
from contrapose.errors import ConfigError, ContraposeError
from contrapose.plugins import configure
from contrapose.types import Batch, ViewBatch

WAVES = Path(__file__).with_name("waves.py")
SETTINGS = (
    "split={test: 0.2, val: 0.25}",
    "train.epochs=8",
    "train.lr=0.02",
    "train.keep=1",
    "train.early_stopping={patience: 2, passes: 3}",
)


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Path]:
    configure().load_file(WAVES)
    yield write_project(tmp_path / "project")
    configure()


def weights(method: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in method.state_dict().items()}


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_it_stops_and_has_the_weights_of_the_least_loss(project: Path, tmp_path: Path) -> None:
    settings = (
        *SETTINGS,
        "train.early_stopping.patience=1",
        "train.lr=0.3",
        "train.schedule=constant",
        "train.epochs=30",
    )
    run = train(project, set=settings, out=tmp_path / "run", quiet=True)
    found = read_validation(tmp_path / "run")
    losses = [loss for _, loss in found]
    assert len(found) < 30, "it never stopped"
    assert losses[-1] >= min(losses[:-1])
    best = best_step(tmp_path / "run", found[-1][0])
    assert best == found[losses.index(min(losses))][0] < found[-1][0]
    kept = sorted(folder.name for folder in (tmp_path / "run" / "checkpoints").iterdir())
    assert kept == [f"step-{best:08d}", f"step-{found[-1][0]:08d}"], "the best and the last are kept"
    assert same(weights(run.method), weights(load(tmp_path / "run").method))
    last = load(tmp_path / "run")
    shutil.copytree(tmp_path / "run", tmp_path / "without")
    (tmp_path / "without" / "validation.csv").unlink()
    assert not same(weights(load(tmp_path / "without").method), weights(last.method))


def test_measuring_changes_nothing_that_is_learnt(project: Path, tmp_path: Path) -> None:
    told = train(project, set=(*SETTINGS, "train.early_stopping.patience=99"), out=tmp_path / "told", quiet=True)
    train(project, set=(*SETTINGS[:-1],), out=tmp_path / "silent", quiet=True)
    assert len(read_validation(told.dir)) == 8
    assert (told.dir / "metrics.csv").read_bytes() == (tmp_path / "silent" / "metrics.csv").read_bytes()


def test_the_loss_is_that_of_static_views(project: Path, tmp_path: Path) -> None:
    """With a learning rate that moves nothing, and no BatchNorm statistics to settle, each epoch measures the same number."""
    still = (
        "method={use: simclr, branches: {online: {projector: {use: mlp, out: 8, norm: none}}}}",
        "train.lr=1e-30",
        "train.weight_decay=0",
        "train.epochs=3",
        "encoders.wave.norm=false",
        "encoders.echo.norm=false",
    )
    run = train(project, set=(*SETTINGS, *still), out=tmp_path / "run", quiet=True)
    losses = {loss for _, loss in read_validation(run.dir)}
    assert len(losses) == 1
    more = train(project, set=(*SETTINGS, *still, "train.early_stopping.passes=1"), out=tmp_path / "more", quiet=True)
    assert {loss for _, loss in read_validation(more.dir)} != losses, "passes draw views of their own"


def test_a_resumed_run_stops_where_it_would_have(project: Path, tmp_path: Path) -> None:
    settings = (
        *SETTINGS,
        "train.lr=0.3",
        "train.schedule=constant",
        "train.epochs=30",
        "train.keep=99",
        "train.checkpoint_every=2",
    )
    whole = train(project, set=settings, out=tmp_path / "whole", quiet=True)
    shutil.copytree(whole.dir, tmp_path / "part")
    for folder in sorted((tmp_path / "part" / "checkpoints").iterdir())[3:]:
        shutil.rmtree(folder)
    again = train(resume=tmp_path / "part", quiet=True)
    assert (again.dir / "validation.csv").read_bytes() == (whole.dir / "validation.csv").read_bytes()
    assert same(weights(again.method), weights(whole.method))
    before = (whole.dir / "metrics.csv").read_bytes()
    train(resume=whole.dir, quiet=True)
    assert (whole.dir / "metrics.csv").read_bytes() == before, "what has stopped goes no further"


def test_a_row_beyond_the_last_checkpoint_counts_for_nothing(project: Path, tmp_path: Path) -> None:
    run = train(project, set=SETTINGS, out=tmp_path / "run", quiet=True)
    with open(run.dir / "validation.csv", "a") as file:
        file.write("99999,99,-5.0\n")
    assert same(weights(load(run.dir).method), weights(run.method))


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (("train.early_stopping={}",), "no split 'val' that isn't trained on; there is test"),
        (("train.early_stopping={split: train}",), "no split 'train' that isn't trained on"),
        (("train.early_stopping={patience: 0}",), "greater than or equal to 1"),
        (("train.early_stopping={patients: 2}",), "did you mean 'patience'"),
    ],
)
def test_one_line_says_what_is_wrong(project: Path, tmp_path: Path, settings: tuple[str, ...], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        train(project, set=settings, out=tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()


def test_a_loss_that_is_no_number_ends_the_run(project: Path, tmp_path: Path, monkeypatch) -> None:
    from contrapose.engine import early_stopping

    monkeypatch.setattr(early_stopping.Validation, "_measure", lambda self, method: float("nan"))
    with pytest.raises(ContraposeError, match="the loss on val is nan after step"):
        train(project, set=SETTINGS, out=tmp_path / "run", quiet=True)


def test_kept_batches_measure_what_batches_made_anew_do(project: Path, tmp_path: Path, monkeypatch) -> None:
    """Bit for bit, with dropout's and sources' draws as they are; and beyond the bound nothing is kept."""
    from contrapose.engine import early_stopping

    made: list[int] = []
    fresh = early_stopping.StaticBatches._made

    def counted(self):
        made.append(1)
        return fresh(self)

    monkeypatch.setattr(early_stopping.StaticBatches, "_made", counted)
    settings = (*SETTINGS, "train.early_stopping.patience=99")
    kept = train(project, set=settings, out=tmp_path / "kept", quiet=True)
    assert len(made) == 1, "made once"
    monkeypatch.setattr(early_stopping, "KEPT", 1000)
    anew = train(project, set=settings, out=tmp_path / "anew", quiet=True)
    assert len(made) == 1 + 8, "made anew after each epoch"
    assert (kept.dir / "validation.csv").read_bytes() == (anew.dir / "validation.csv").read_bytes()
    assert same(weights(kept.method), weights(anew.method))


def test_a_batch_is_counted_by_its_tensors() -> None:
    from contrapose.engine.early_stopping import bytes_of

    view = ViewBatch({"a": torch.zeros(3, 5), "b": torch.zeros(3, dtype=torch.int64)}, "m", torch.arange(3))
    assert bytes_of(Batch(torch.arange(3), {"m/0": view}, {"label": torch.zeros(3)})) == 60 + 24 + 24 + 24 + 12
