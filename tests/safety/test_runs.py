"""A run folder from a stranger: its checkpoint holds tensors alone, its links lead nowhere, and what lies in it is one line."""

from __future__ import annotations

import json
import os
import shutil
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import contrapose as cp
from contrapose.cli import main
from contrapose.plugins import configure
from tests.faults.helpers import WAVES, train, waves_alone

STEP = "checkpoints/step-00000002"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("safety")
    config = waves_alone(folder / "project")
    assert train(config, "--out", folder / "run", "--set", "train.steps=2") == 0
    assert main(["evaluate", str(folder / "run"), "--plugin", str(WAVES)]) == 0
    return folder / "run"


@pytest.fixture
def run(made: Path, tmp_path: Path) -> Iterator[Path]:
    shutil.copytree(made, tmp_path / "run")
    configure().load_file(WAVES)
    yield tmp_path / "run"
    configure()


def sealed(run: Path) -> None:
    """Sizes and checksums that fit: whoever alters a checkpoint can write these too."""
    file = run / STEP / "state.json"
    state = json.loads(file.read_text())
    for name in state["files"]:
        content = (run / STEP / name).read_bytes()
        state["files"][name] = [len(content), zlib.crc32(content)]
    file.write_text(json.dumps(state))


def refused(run: Path) -> str:
    with pytest.raises(cp.ContraposeError) as error:
        _ = cp.load(run).method
    assert "\n" not in str(error.value)
    return str(error.value)


def header(size: int, said: dict) -> bytes:
    text = json.dumps(said).encode()
    return (len(text) if size < 0 else size).to_bytes(8, "little") + text


ENTRY = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
TENSORS = {
    "no header": b"",
    "a header longer than the file": header(2**40, {}),
    "a header of 2**63 bytes": header(2**63, {}),
    "no JSON": (8).to_bytes(8, "little") + b"not json",
    "deep JSON": (100_000).to_bytes(8, "little") + b"[" * 100_000,
    "offsets beyond the end": header(-1, {"a": {**ENTRY, "data_offsets": [0, 2**40], "shape": [2**38]}}) + bytes(8),
    "offsets backwards": header(-1, {"a": {**ENTRY, "data_offsets": [8, 0]}}) + bytes(8),
    "a shape that overflows": header(-1, {"a": {**ENTRY, "shape": [2**62, 2**62]}}) + bytes(8),
    "a shape that lies": header(-1, {"a": {**ENTRY, "shape": [99]}}) + bytes(8),
    "two tensors in one place": header(-1, {"a": ENTRY, "b": ENTRY}) + bytes(8),
    "an unknown dtype": header(-1, {"a": {**ENTRY, "dtype": "PICKLE"}}) + bytes(8),
}


@pytest.mark.parametrize("content", TENSORS.values(), ids=TENSORS)
def test_tensors_that_lie(run: Path, content: bytes) -> None:
    (run / STEP / "model.safetensors").write_bytes(content)
    sealed(run)
    assert refused(run).startswith("checkpoint step-00000002 is damaged: model.safetensors: ")


def test_tensors_of_other_names_and_shapes(run: Path) -> None:
    file = run / STEP / "model.safetensors"
    tensors = load_file(file)
    name = next(iter(tensors))
    for other in ({**tensors, name: torch.zeros(999)}, {"evil": torch.zeros(1)}, {**tensors, "evil": torch.zeros(1)}):
        save_file(other, file)
        sealed(run)
        assert "doesn't fit the run's own config" in refused(run)


def test_a_pickle_in_the_place_of_tensors(run: Path, tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self):
            return Path.touch, (tmp_path / "pwned",)

    torch.save({"weight": Bomb()}, run / STEP / "model.safetensors")
    sealed(run)
    refused(run)
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize("name", ["../../config.yaml", "/etc/passwd", "/dev/zero", "..", ".", "no.safetensors"])
def test_a_checkpoint_s_state_names_its_own_files(run: Path, name: str) -> None:
    file = run / STEP / "state.json"
    state = json.loads(file.read_text())
    state["files"][name] = [0, 0]
    file.write_text(json.dumps(state))
    with pytest.raises(cp.CheckpointError, match="no usable checkpoint"):
        _ = cp.load(run).method


JSONS = ["[" * 100_000, "", "null", "[]", "3", '{"files": []}', '{"files": {"model.safetensors": 3}}', '"\\ud800"']


@pytest.mark.parametrize("text", JSONS, ids=range(len(JSONS)))
def test_a_state_that_is_none(run: Path, text: str) -> None:
    (run / STEP / "state.json").write_text(text)
    assert "no usable checkpoint" in refused(run)


FITTED = [
    "[" * 100_000,
    "[]",
    "3",
    '{"modalities": {"wave": 3}}',
    '{"modalities": {"other": {}}}',
    '{"modalities": []}',
    '{"views": {"wave": {}}}',
    '{"views": 3}',
    '{"modalities": {"wave": {"a": {"$tensor": ["a"]}}}}',
    '{"modalities": {"wave": {"a": {"$tensor": "no"}}}}',
]


@pytest.mark.parametrize("text", FITTED, ids=range(len(FITTED)))
def test_a_fitted_state_that_is_none(run: Path, text: str) -> None:
    (run / "fitted.json").write_text(text)
    with pytest.raises(cp.ContraposeError) as error:
        cp.load(run).embed("test")
    assert "\n" not in str(error.value)


def written(run: Path) -> dict[str, Callable[[], int]]:
    """The commands that write into a run's folder, or read all of it."""
    plugin = ["--plugin", str(WAVES)]
    return {
        "train": lambda: main(["train", "--resume", str(run), "--set", "train.steps=3", *plugin]),
        "evaluate": lambda: main(["evaluate", str(run), *plugin]),
        "report": lambda: main(["report", str(run), *plugin]),
    }


@pytest.mark.parametrize("command", ["train", "evaluate", "report"])
@pytest.mark.parametrize(
    "link",
    [".lock", "metrics.csv", "evaluation.json", "report.html", "skipped.csv", f"{STEP}/model.safetensors", "pictures"],
)
def test_a_link_in_a_run_is_neither_read_nor_written(
    run: Path, tmp_path: Path, capsys, command: str, link: str
) -> None:
    precious = tmp_path / "precious"
    if link == "pictures":
        precious.mkdir()
    else:
        precious.write_text("precious")
    shutil.rmtree(run / link, ignore_errors=True)
    (run / link).unlink(missing_ok=True)
    (run / link).symlink_to(precious)
    assert written(run)[command]() == 1
    err = capsys.readouterr().err
    assert f"{link} is a link that leaves the run's folder" in err
    assert err.count("\n") == 1
    assert os.listdir(precious) == [] if precious.is_dir() else precious.read_text() == "precious"


def test_checkpoints_that_are_elsewhere(run: Path, tmp_path: Path) -> None:
    shutil.move(run / "checkpoints", tmp_path / "elsewhere")
    (run / "checkpoints").symlink_to(tmp_path / "elsewhere")
    assert "checkpoints is a link that leaves the run's folder" in refused(run)


def test_a_run_that_is_reached_by_a_link_is_a_run(run: Path, tmp_path: Path) -> None:
    (tmp_path / "linked").symlink_to(run)
    assert cp.load(tmp_path / "linked").embed("test")["wave"].z.shape[0] > 0


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("metrics.csv", "step,epoch,loss\nx,y,z\n"),
        ("metrics.csv", "step,epoch,loss\n" + "9" * 30 + ",0,1\n"),
        ("metrics.csv", "step,epoch,loss\n1,0," + "x" * 200_000 + "\n"),
        ("skipped.csv", "sample,modality,reason\nx,wave,why\n"),
        ("skipped.csv", "a,b\n1,2\n"),
    ],
)
def test_tables_of_a_run_that_are_damaged(run: Path, capsys, file: str, text: str) -> None:
    (run / file).write_text(text)
    assert main(["report", str(run), "--plugin", str(WAVES)]) == 1
    err = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(err) == 1
    assert f"{file} is damaged" in err[0]


SCRIPT = "<script>alert(1)</script>"


def test_what_a_run_says_is_text_in_its_report(run: Path) -> None:
    (run / "skipped.csv").write_text(f'sample,modality,reason\n1,"{SCRIPT}","{SCRIPT}"\n')
    tree = json.loads((run / "evaluation.json").read_text())
    for row in tree["rows"]:
        row["metric"] = row["of"] = row["note"] = SCRIPT
    (run / "evaluation.json").write_text(json.dumps(tree))
    config = run / "config.yaml"
    config.write_text(config.read_text() + f'# "{SCRIPT}"\n')
    assert main(["report", str(run), "--plugin", str(WAVES)]) == 0
    page = (run / "report.html").read_text()
    assert SCRIPT not in page
    assert "&lt;script&gt;alert(1)" in page


@pytest.mark.parametrize("value", ['"x"', "[1]", "{}", '"<b>"'])
def test_an_evaluation_that_is_none_is_made_anew(run: Path, value: str) -> None:
    file = run / "evaluation.json"
    tree = json.loads(file.read_text())
    tree["rows"][0]["value"] = json.loads(value)
    file.write_text(json.dumps(tree))
    assert main(["report", str(run), "--plugin", str(WAVES)]) == 0
    assert (run / "report.html").exists()
