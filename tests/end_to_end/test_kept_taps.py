"""What a frozen encoder gives is computed once: the same losses, without the encoder or the data behind it."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.end_to_end.thirds import write_three

import contrapose as cp
from contrapose.engine import taps
from contrapose.engine.taps_file import Table
from contrapose.errors import ContraposeWarning
from contrapose.plugins import configure, registry
from contrapose.testing import assert_resume_exact
from contrapose.types import Batch, ViewBatch

HERE = Path(__file__).parent
FROZEN = ("views.wave=doubled", "train.frozen={wave: encoder}", "train.steps=3", "train.keep=9")
CACHED = (*FROZEN, "train.cache=true")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("CONTRAPOSE_CACHE", str(tmp_path / "cache"))
    configure()
    for file in ("waves.py", "thirds.py"):
        registry().load_file(HERE / file)
    yield write_three(tmp_path / "project", samples=40)
    configure()


def train(place: Path, name: str, *sets: str, **more: Any) -> cp.Run:
    return cp.train(place / "old.yaml", set=sets, out=place / name, quiet=True, **more)


def losses(run: cp.Run) -> list[float]:
    with open(run.dir / "metrics.csv") as f:
        return [float(row["loss"]) for row in csv.DictReader(f)]


def caches() -> list[Path]:
    return sorted(Path(os.environ["CONTRAPOSE_CACHE"], "taps").glob("*"))


@pytest.mark.parametrize(
    "how", ["missing", *(pytest.param(h, marks=pytest.mark.slow) for h in ("plain", "chunks", "workers", "slots"))]
)
def test_the_losses_are_those_without_a_cache(place: Path, how: str) -> None:
    more = {
        "plain": [],
        "chunks": ["train.chunk_size=7", "train.chunk_batchnorm=true"],
        "workers": ["train.workers=1"],
        "missing": ["modalities={wave: wave, echo: scent}"],  # some samples have the kept modality alone
        "slots": [
            "method=moco-v2",
            "method.sources.queue.size=32",
            "views={wave: {use: doubled, gain: 3.0}, echo: hiss}",
        ],
    }[how]
    plain, kept = (train(place, name, *sets, *more) for name, sets in (("plain", FROZEN), ("kept", CACHED)))
    np.testing.assert_allclose(losses(kept), losses(plain), rtol=2e-5)
    for name, t in plain.method.state_dict().items():
        torch.testing.assert_close(kept.method.state_dict()[name], t, rtol=1e-3, atol=1e-5, msg=name)
    np.testing.assert_allclose(kept.embed("test")["wave"].z, plain.embed("test")["wave"].z, rtol=1e-3, atol=1e-5)


def test_training_neither_reads_nor_encodes(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = {"load": 0, "forward": 0}
    wave, net = registry().load("modality", "wave"), type(registry().load("encoder", "wave-net")())
    load, forward = wave.load, net.forward

    def counted_load(self: Any, cells: Any, root: Any) -> Any:
        calls["load"] += self.name == "wave"
        return load(self, cells, root)

    def counted_forward(self: Any, data: Any) -> Any:
        calls["forward"] += self.modality == "wave"
        return forward(self, data)

    monkeypatch.setattr(wave, "load", counted_load)
    monkeypatch.setattr(net, "forward", counted_forward)
    train(place, "first", *CACHED)
    samples = 30
    assert calls == {"load": samples + taps.PROBE, "forward": 2}, "each sample once, in batches of 24"
    calls |= {"load": 0, "forward": 0}
    train(place, "again", *CACHED)
    assert calls == {"load": taps.PROBE, "forward": 0}


def test_what_it_depends_on_makes_it_another(place: Path) -> None:
    train(place, "first", *CACHED)
    (first,) = caches()
    train(place, "again", *CACHED, "encoders.echo.width=8")
    assert caches() == [first], "of another tower"
    train(place, "weights", *CACHED, "train.seed=1")
    train(place, "view", *CACHED, "views.wave={use: doubled, gain: 1.5}")
    assert len(caches()) == 3
    file = place / "waves/0.txt"
    file.write_text(file.read_text().replace("1", "2"))
    os.utime(file, (0, 0))
    train(place, "data", *CACHED)
    assert len(caches()) == 4


def test_it_goes_on_where_it_was_stopped(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = train(place, "whole", *CACHED, "train.batch_size=8")
    monkeypatch.setenv("CONTRAPOSE_CACHE", str(place / "other"))
    monkeypatch.setattr(taps, "EVERY", 0.0)
    write, batches = Table.write, []

    def stopped(self: Any, batch: Any, made: Any) -> None:
        batches.append(len(batch))
        if len(batches) == 3:
            raise KeyboardInterrupt
        write(self, batch, made)

    monkeypatch.setattr(Table, "write", stopped)
    with pytest.raises(KeyboardInterrupt):
        train(place, "stopped", *CACHED, "train.batch_size=8")
    again = cp.train(resume=place / "stopped", quiet=True)
    assert batches == [8, 8, 8, 8, 6], "the third again, and the last"
    assert losses(again) == losses(whole)


def test_a_resumed_run_ends_in_the_same_bits(place: Path) -> None:
    assert_resume_exact(place / "old.yaml", steps=4, stop=2, set=CACHED)


def test_what_cannot_be_read_is_missing(place: Path) -> None:
    (place / "waves/1.txt").write_text("nothing like numbers")
    with pytest.warns(ContraposeWarning, match="wave of 1 samples can't be read, so it is missing there"):
        train(place, "run", *CACHED)


REFUSED = {
    "views.wave=wobble": (
        "the view wave/0 draws at random, so what a frozen encoder gives of it is new each time: name a view without chance "
        "under views.wave, or leave the cache out"
    ),
    "train.frozen={}": "keeps what frozen encoders give, and none is: name one under train.frozen",
}


@pytest.mark.parametrize("change", REFUSED)
def test_what_cannot_be_kept_is_told_in_a_line(place: Path, change: str) -> None:
    with pytest.raises(cp.ConfigError, match=f"train.cache: {re.escape(REFUSED[change])}$"):
        train(place, "run", *CACHED, change)
    assert not (place / "run").exists()
    assert not caches()


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="this system can't reserve room")
def test_a_full_disk_is_a_line(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(
        cp.CheckpointError, match=r"can't write the cache .*: No space left on device; set CONTRAPOSE_CACHE"
    ):
        train(place, "run", *CACHED)


def test_a_tap_of_many_sizes_is_refused(tmp_path: Path) -> None:
    table = Table(tmp_path, np.arange(4), fresh=True)
    for rows, places in (([0, 1], 3), ([2, 3], 5)):
        batch = Batch(torch.tensor(rows), {"wave/0": ViewBatch(None, "wave", torch.arange(2))})
        made = {"wave/0": {"dense": torch.zeros(2, places, 8)}}
        if places == 3:
            table.write(batch, made)
        else:
            with pytest.raises(cp.ConfigError, match="changes its size from batch to batch"):
                table.write(batch, made)


def test_a_view_that_draws_for_later_samples_alone_is_told_too(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(taps, "PROBE", 0)
    with pytest.raises(cp.ConfigError, match="the view wave/0 draws at random"):
        train(place, "run", *CACHED, "views.wave=wobble")
