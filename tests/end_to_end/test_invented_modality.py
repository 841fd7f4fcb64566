"""Two modalities that exist only in this test are trained, embedded and loaded again; the core knows neither."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.end_to_end.waves import write_project

import contrapose as cp
from contrapose.cli import main
from contrapose.plugins import configure

WAVES = Path(__file__).with_name("waves.py")


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    return write_project(tmp_path_factory.mktemp("invented") / "project")


@pytest.fixture(autouse=True)
def registered() -> Iterator[None]:
    configure().load_file(WAVES)
    yield
    configure()


@pytest.fixture(scope="module")
def run(project: Path) -> cp.Run:
    command = ["train", str(project), "--plugin", str(WAVES), "--out", str(project.parent / "run")]
    assert main([*command, "--set", "train.epochs=12", "--set", "method.sources.queue.size=16"]) == 0
    return cp.load(project.parent / "run")


def test_the_folder_tells_the_whole_run(run: cp.Run) -> None:
    with open(run.dir / "metrics.csv") as f:
        rows = list(csv.DictReader(f))
    assert [int(r["step"]) for r in rows] == list(range(1, 61))
    assert rows[0].keys() == {
        *("step", "epoch", "lr", "loss", "loss/info_nce", "top1/info_nce", "spread/online", "spread/key"),
    }
    assert {p.name for p in run.dir.iterdir()} >= {"config.yaml", "fitted.json", "tensorboard", "checkpoints"}
    assert run.config.run.train.lr == 3e-3
    assert run.config.run.train.clip is None


def test_training_teaches_which_echo_is_of_which_wave(run: cp.Run) -> None:
    """R@3 of the echoes of the training waves: more than before training, far more than chance."""
    trained, untrained = recall(run), recall(run.untrained())
    assert trained > max(2 * untrained, 0.3)
    with open(run.dir / "metrics.csv") as f:
        top1 = [float(row["top1/info_nce"]) for row in csv.DictReader(f)]
    assert np.mean(top1[-10:]) > np.nanmean(top1[:10]) + 0.1, "retrieval within the batch is logged as it improves"


def recall(run: cp.Run) -> float:
    found = run.embed("train")
    both = np.intersect1d(found["wave"].ids, found["echo"].ids)
    wave, echo = (f.z[np.isin(f.ids, both)] for f in (found["wave"], found["echo"]))
    wave, echo = (z / np.linalg.norm(z, axis=1, keepdims=True) for z in (wave, echo))
    nearest = np.argsort(-(wave @ echo.T), axis=1)[:, :3]
    return float((nearest == np.arange(len(both))[:, None]).any(axis=1).mean())


def test_embeddings_have_ids_columns_and_no_row_for_what_is_missing(run: cp.Run) -> None:
    found = run.embed("test")
    reader = run.reader("test")
    ids = [reader[i].id for i in range(len(reader))]
    with_echo = [reader[i].id for i in range(len(reader)) if "echo" in reader[i].data]
    assert found["wave"].ids.tolist() == ids
    assert found["echo"].ids.tolist() == with_echo
    assert 0 < len(with_echo) < len(ids)
    assert found["wave"].z.shape == (len(ids), 8)
    assert found["wave"].z.dtype == np.float32
    assert run.embed("test", head="pooled")["wave"].z.shape == (len(ids), 16)
    assert found["wave"].columns["label"].tolist() == [reader[i].meta["label"] for i in range(len(reader))]


def test_embedding_depends_on_neither_batch_nor_time(run: cp.Run) -> None:
    a, b = run.embed("test", batch_size=3), run.embed("test", batch_size=256)
    np.testing.assert_allclose(a["wave"].z, b["wave"].z, atol=1e-6)
    np.testing.assert_array_equal(b["wave"].z, cp.load(run.dir).embed("test")["wave"].z)


def test_another_file_of_the_same_shape_is_embedded_with_the_same_label_codes(run: cp.Run, project: Path) -> None:
    other = project.parent / "other.jsonl"
    lines = (project.parent / "things.jsonl").read_text().splitlines()
    other.write_text("\n".join(line for line in lines if '"p3"' in line) + "\n")
    codes = run.embed(other)["wave"].columns["label"]
    assert set(codes.tolist()) == {2}


def test_an_encoder_is_a_plain_module_for_other_peoples_code(run: cp.Run) -> None:
    encoder = run.encoder("echo")
    assert isinstance(encoder, torch.nn.Module)
    assert not encoder.training
    assert encoder(torch.zeros(3, 32))["pooled"].shape == (3, 16)
    with pytest.raises(cp.ConfigError, match="no encoder of 'smell'"):
        run.encoder("smell")


def test_untrained_has_the_weights_that_training_began_with(run: cp.Run, tmp_path: Path) -> None:
    untrained = run.untrained()
    begun = cp.train(run.config, set=["train.steps=1", "train.lr=1e-30"], out=tmp_path / "begun", quiet=True)
    for (name, a), b in zip(untrained.method.named_parameters(), begun.method.parameters(), strict=True):
        torch.testing.assert_close(a, b, atol=1e-9, rtol=1e-3, msg=name)
    norm = next(m for m in untrained.method.modules() if isinstance(m, torch.nn.BatchNorm1d))
    assert norm.num_batches_tracked > 0
    assert norm.momentum == 0.1
    assert not torch.equal(norm.running_mean, torch.zeros_like(norm.running_mean))


def test_the_same_in_python_with_unregistered_objects(project: Path, tmp_path: Path) -> None:
    @cp.view("wave")
    def flip(data, rng, chance: float = 0.5):
        return data[::-1].copy() if rng.random() < chance else data

    config = cp.Config.load(project).data
    config = {**config, "data": str(project.parent / "things.jsonl"), "modalities": {"wave": "wave"}}
    config |= {"views": {"wave": flip(chance=0.4)}, "encoders": {"wave": "wave-net"}, "method": "simclr"}
    run = cp.train(config, set=["train.steps=2"], out=tmp_path / "run", quiet=True)
    assert run.embed("test")["wave"].z.shape[1] == 128
    assert cp.load(run.dir, config=config).embed("test")["wave"].z.shape[1] == 128
    with pytest.raises(cp.CheckpointError, match=r"views\.wave of this run is a Python object, flip\(chance=0\.4\)"):
        cp.load(run.dir)
