"""Extending a run: its towers go on, bit for bit, and a new modality finds those too that it was never paired with."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.end_to_end.thirds import write_three

import contrapose as cp
from contrapose.cli import main
from contrapose.engine.extend import prepared
from contrapose.plugins import configure, registry
from contrapose.testing import assert_resume_exact

HERE = Path(__file__).parent
PLUGINS = [HERE / "waves.py", HERE / "thirds.py"]
FLAGS = [word for file in PLUGINS for word in ("--plugin", str(file))]
CHANCE = 1 / 22
"""Of a test sample's scent among those of the 22 that have one."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_three(tmp_path_factory.mktemp("extend") / "project")


@pytest.fixture(autouse=True)
def registered() -> Iterator[None]:
    register()
    yield
    configure()


def register() -> None:
    configure()
    for file in PLUGINS:
        registry().load_file(file)


@pytest.fixture(scope="module")
def old(place: Path) -> cp.Run:
    register()
    return cp.train(place / "old.yaml", out=place / "old", quiet=True)


@pytest.fixture(scope="module")
def new(place: Path, old: cp.Run) -> cp.Run:
    """The run that extends a copy of the old one, which is deleted thereafter."""
    register()
    shutil.copytree(old.dir, place / "gone")
    assert (
        main(["train", str(place / "new.yaml"), "--extend", str(place / "gone"), "--out", str(place / "new"), *FLAGS])
        == 0
    )
    shutil.rmtree(place / "gone")
    register()
    return cp.load(place / "new")


def recall(run: cp.Run, a: str, b: str) -> float:
    """R@1 of b by a on the test split."""
    found = run.embed("test")
    both = np.intersect1d(found[a].ids, found[b].ids)
    za, zb = (f.z[np.isin(f.ids, both)] for f in (found[a], found[b]))
    za, zb = (z / np.linalg.norm(z, axis=1, keepdims=True) for z in (za, zb))
    return float((np.argmax(za @ zb.T, axis=1) == np.arange(len(both))).mean())


def test_old_towers_embed_as_they_did_to_the_last_bit(old: cp.Run, new: cp.Run) -> None:
    before, after = old.embed("test"), new.embed("test")
    for modality in ("wave", "echo"):
        np.testing.assert_array_equal(before[modality].z, after[modality].z)
        np.testing.assert_array_equal(
            old.embed("test", modality, "pooled")[modality].z, new.embed("test", modality, "pooled")[modality].z
        )


def test_a_new_modality_finds_the_one_that_it_was_paired_with(new: cp.Run) -> None:
    assert min(recall(new, "scent", "wave"), recall(new, "wave", "scent")) > 8 * CHANCE


def test_and_one_that_it_never_met(new: cp.Run) -> None:
    assert [*new.parts.recipe["terms"]] == ["scent~wave"]
    assert min(recall(new, "scent", "echo"), recall(new, "echo", "scent")) > 8 * CHANCE
    assert recall(new.untrained(), "scent", "echo") < 5 * CHANCE


def test_before_its_first_step_it_has_the_old_towers(old: cp.Run, new: cp.Run) -> None:
    untrained = new.untrained().embed("test")
    np.testing.assert_array_equal(untrained["wave"].z, old.embed("test")["wave"].z)
    assert not np.array_equal(untrained["scent"].z, new.embed("test")["scent"].z)


def test_its_config_is_whole(new: cp.Run) -> None:
    run = new.config.run
    assert run.encoders == {"wave": "wave-net", "echo": "echo-net", "scent": "scent-net"}
    assert run.train.frozen == {"wave": "tower", "echo": "tower"}
    assert run.views == {"scent": "whiff", "echo": "none"}
    assert new.method.towers.widths["scent"] == 8
    assert Path(str(run.extend)).name == "gone"


@pytest.mark.parametrize("checkpoints", [1, 0])
def test_it_goes_on_without_the_old_run(place: Path, old: cp.Run, tmp_path: Path, checkpoints: int) -> None:
    """From its last checkpoint, and from its beginning where there is none yet."""
    shutil.copytree(old.dir, tmp_path / "old")
    few = ["train.steps=4", "train.checkpoint_every=2", "train.keep=9"]
    run = cp.train(place / "new.yaml", extend=tmp_path / "old", set=few, out=tmp_path / "run", quiet=True)
    ended = {name: t.clone() for name, t in run.method.state_dict().items()}
    shutil.rmtree(tmp_path / "old")
    for later in sorted((run.dir / "checkpoints").iterdir())[checkpoints:]:
        shutil.rmtree(later)
    again = cp.train(resume=run.dir, quiet=True).method.state_dict()
    assert all(torch.equal(again[name], t) for name, t in ended.items())


def test_it_goes_on_under_its_config(place: Path, old: cp.Run) -> None:
    assert_resume_exact(place / "new.yaml", steps=4, stop=2, set=[f"extend={old.dir}"])


def test_thawed_towers_are_trained(place: Path, old: cp.Run, tmp_path: Path) -> None:
    run = cp.train(
        place / "new.yaml", extend=old.dir, set=["train.frozen={}", "train.steps=2"], out=tmp_path / "run", quiet=True
    )
    assert run.config.run.train.frozen == {"echo": "tower"}, "no pair would move it"
    before, after = old.embed("test"), run.embed("test")
    assert not np.array_equal(before["wave"].z, after["wave"].z)
    np.testing.assert_array_equal(before["echo"].z, after["echo"].z)


def test_a_method_with_a_shared_branch_may_be_extended(place: Path, tmp_path: Path) -> None:
    """Its projector is each tower's."""
    first = cp.train(place / "old.yaml", set=["method=simclr", "train.steps=1"], out=tmp_path / "first", quiet=True)
    run = cp.train(place / "new.yaml", extend=first.dir, set=["train.steps=1"], out=tmp_path / "run", quiet=True)
    np.testing.assert_array_equal(first.embed("test")["echo"].z, run.embed("test")["echo"].z)
    assert run.method.towers.widths["scent"] == first.method.towers.widths["online.projected"]


WRONG = {
    "extend=PLACE/odl": "extend: PLACE/odl is no run; did you mean 'PLACE/old'?",
    "encoders.wave={use: wave-net, width: 8}": (
        "encoders.wave: the tower of wave in PLACE/old has the encoder wave-net: leave it out here"
    ),
    "encoders={}": "encoders: adds no modality to wave, echo: give the new one its encoder",
    "modalities={wave: {columns: wave, scale: 2}}": (
        "modalities.wave.scale: the tower was trained with None: leave it out here"
    ),
    "method.out=16": "method.out: the space of PLACE/old has width 8: leave it out",
    "method.branches.scent.projector.out=16": (
        "method.branches.scent.projector.out: the space of PLACE/old has width 8: leave it out"
    ),
    "method.pairs=[[wave, echo]]": "method: no pair joins scent to a tower of the old run: pair it with one (wave or echo)",
    "method.pairs=[[scent, scent]]": (
        "method: no pair joins scent to a tower of the old run: pair it with one (wave or echo)"
    ),
    "modalities={ehco: null}": "modalities.ehco: no tower of PLACE/old is left out so; did you mean 'echo'?",
    "modalities={echo: sound}": (
        "modalities.echo: the data have no column 'sound'; there is echo, label, part, scent, wave; null leaves the old tower out"
    ),
    "encoders=[scent]": "encoders: expected a mapping, got ['scent']",
    "method=simclr": (
        "method: the branch 'online' takes views like *, of wave among others: a run is extended by a method with a "
        "branch for each modality, such as hub, clip or pair-graph"
    ),
    "train.frozen={wabe: tower}": "train.frozen.wabe: there is no encoder 'wabe'; did you mean 'wave'?",
    "train.frozen={wave: all}": "train.frozen.wave: expected one of 'encoder', 'tower', got 'all'",
}


@pytest.mark.parametrize("change", WRONG)
def test_a_mistake_is_one_line(place: Path, old: cp.Run, change: str, capsys: pytest.CaptureFixture) -> None:
    sets = [f"extend={old.dir}", change.replace("PLACE", str(place))]
    command = ["train", str(place / "new.yaml"), "--out", str(place / "no"), *FLAGS]
    assert main([*command, *(word for s in sets for word in ("--set", s))]) == 1
    said = capsys.readouterr().err
    assert said.endswith(WRONG[change].replace("PLACE", str(place)) + "\n"), said
    assert len(said.splitlines()) == 1
    assert not (place / "no").exists()


def test_a_run_is_extended_or_resumed(place: Path, old: cp.Run, capsys: pytest.CaptureFixture) -> None:
    assert main(["train", "--resume", str(old.dir), "--extend", str(old.dir)]) == 1
    assert "--extend begins a new run, and --resume goes on with one: give one of them" in capsys.readouterr().err


def test_what_the_old_run_needs_is_told_of_its_own_config(place: Path, old: cp.Run) -> None:
    configure().load_file(PLUGINS[1])
    with pytest.raises(cp.ConfigError, match=re.escape(f"{old.dir}/config.yaml:") + ".*'wave'.* not installed"):
        cp.train(place / "new.yaml", extend=old.dir, out=place / "no", quiet=True)


def test_a_run_of_python_objects_is_refused(place: Path, tmp_path: Path) -> None:
    class Mine(torch.nn.Module):
        modality, dims = "wave", {"pooled": 32}

        def forward(self, data: torch.Tensor) -> dict[str, torch.Tensor]:
            return {"pooled": data}

    config = cp.Config.load(place / "old.yaml").data | {"data": str(place / "three.jsonl")}
    config["encoders"] = {"wave": Mine(), "echo": "echo-net"}
    first = cp.train(config, set=["train.steps=1"], out=tmp_path / "first", quiet=True)
    with pytest.raises(cp.CheckpointError, match=r"can't be extended.*encoders\.wave of this run is a Python object"):
        cp.train(place / "new.yaml", extend=first.dir, out=tmp_path / "no", quiet=True)


def test_what_an_old_modality_was_fitted_on_stays(place: Path, tmp_path: Path) -> None:
    level = [
        "modalities={wave: wave, level: echo}",
        "encoders={wave: wave-net, level: level-net}",
        "views={wave: wobble}",
        "method.pairs=[[wave, level]]",
        "train.steps=1",
    ]
    first = cp.train(place / "old.yaml", set=level, out=tmp_path / "first", quiet=True)
    rows = [json.loads(line) for line in (place / "three.jsonl").read_text().splitlines()]
    louder = place / "louder.jsonl"
    louder.write_text("".join(json.dumps(row | {"echo": [10 * x for x in row["echo"]]}) + "\n" for row in rows))
    more = ["data=louder.jsonl", "train.steps=1", "method.pairs=[[scent, level]]"]
    run = cp.train(place / "new.yaml", extend=first.dir, set=more, out=tmp_path / "run", quiet=True)
    assert run.parts.modalities["level"].largest == first.parts.modalities["level"].largest
    assert cp.load(run.dir).parts.modalities["level"].largest == first.parts.modalities["level"].largest
    a, b = (r.embed(str(place / "three.jsonl"))["level"].z for r in (first, cp.load(run.dir)))
    np.testing.assert_array_equal(a, b)


def test_a_tower_may_be_left_out(place: Path, old: cp.Run) -> None:
    made = prepared(cp.Config.load(place / "new.yaml", [f"extend={old.dir}", "modalities={echo: null}"]))
    assert [*made.columns] == ["wave", "scent"]
    assert made.run.train.frozen == {"wave": "tower"}


def test_towers_may_have_other_columns(place: Path, old: cp.Run) -> None:
    made = prepared(cp.Config.load(place / "new.yaml", [f"extend={old.dir}", "modalities={echo: scent}"]))
    assert made.columns == {"wave": "wave", "echo": "scent", "scent": "scent"}
