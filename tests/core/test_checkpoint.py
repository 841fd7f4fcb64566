import errno
import json
import os
from pathlib import Path

import pytest
import torch

from contrapose.engine import checkpoint
from contrapose.errors import CheckpointError


def parts(value: float) -> dict[str, dict[str, torch.Tensor]]:
    return {
        "model": {"w": torch.full((64, 3), value), "column sample": torch.arange(5)},
        "optimizer": {"step/w": torch.tensor(value)},
    }


def save(folder: Path, *steps: int, keep: int = 9) -> None:
    for step in steps:
        checkpoint.save(folder, parts(step), {"step": step, "fingerprint": "f"}, keep)


def test_what_was_saved_comes_back(tmp_path: Path) -> None:
    save(tmp_path, 3, 12)
    found = checkpoint.newest(tmp_path, pytest.fail)
    assert found.step == 12
    assert found.state["fingerprint"] == "f"
    for part, tensors in parts(12).items():
        read = found.tensors(part)
        assert read.keys() == tensors.keys()
        assert all(torch.equal(read[k], t) and read[k].dtype == t.dtype for k, t in tensors.items())


def test_only_the_last_ones_stay(tmp_path: Path) -> None:
    save(tmp_path, 1, 2, 3, 10, keep=2)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["step-00000003", "step-00000010"]


def truncate(folder: Path) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-7])


def truncate_optimizer(folder: Path) -> None:
    file = folder / "optimizer.safetensors"
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def empty_model(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"")


def truncate_state(folder: Path) -> None:
    text = (folder / "state.json").read_text()
    (folder / "state.json").write_text(text[: len(text) // 2])


def lose_optimizer(folder: Path) -> None:
    (folder / "optimizer.safetensors").unlink()


def flip(folder: Path) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-1] + b"\xff")


def lose_state(folder: Path) -> None:
    (folder / "state.json").unlink()


def empty_state(folder: Path) -> None:
    (folder / "state.json").write_text("")


def lose_model(folder: Path) -> None:
    (folder / "model.safetensors").unlink()


DAMAGES = [
    truncate, truncate_optimizer, empty_model, flip, lose_model, lose_optimizer, lose_state, empty_state, truncate_state,
]  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_falls_back_to_the_one_before(tmp_path: Path, damage) -> None:
    save(tmp_path, 1, 2)
    damage(tmp_path / "step-00000002")
    warnings: list[str] = []
    assert checkpoint.newest(tmp_path, warnings.append).step == 1
    assert len(warnings) == 1
    assert "step-00000002 is damaged" in warnings[0]
    save(tmp_path, 2)  # training comes by again and puts a whole one in its place
    assert checkpoint.newest(tmp_path, pytest.fail).step == 2


def test_a_damaged_later_checkpoint_does_not_count_among_those_that_stay(tmp_path: Path) -> None:
    save(tmp_path, 1, 9)
    truncate(tmp_path / "step-00000009")
    save(tmp_path, 2, keep=1)
    assert checkpoint.newest(tmp_path, lambda warning: None).step == 2
    save(tmp_path, 10, keep=1)
    assert [p.name for p in tmp_path.iterdir()] == ["step-00000010"]


def test_the_last_checkpoint_is_so_by_its_number_whatever_the_clock_says(tmp_path: Path) -> None:
    save(tmp_path, 1, 2)
    for step, when in ((1, 2e9), (2, 1e6)):
        for path in (tmp_path / f"step-{step:08d}", *(tmp_path / f"step-{step:08d}").iterdir()):
            os.utime(path, (when, when))
    assert checkpoint.newest(tmp_path, pytest.fail).step == 2


def test_nothing_usable_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no usable checkpoint"):
        checkpoint.newest(tmp_path, pytest.fail)


def test_a_format_of_the_future_is_refused(tmp_path: Path) -> None:
    save(tmp_path, 1)
    state = tmp_path / "step-00000001" / "state.json"
    state.write_text(json.dumps({**json.loads(state.read_text()), "format": 99}))
    with pytest.raises(CheckpointError, match="format 99"):
        checkpoint.read(tmp_path / "step-00000001")


@pytest.mark.parametrize("failing", ["model", "optimizer", "state"])
def test_a_full_disk_leaves_the_previous_checkpoint(tmp_path: Path, monkeypatch, failing: str) -> None:
    save(tmp_path, 1)

    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    if failing == "state":
        monkeypatch.setattr(checkpoint.json, "dump", full)
    else:
        whole = checkpoint.safetensors.torch.save_file
        monkeypatch.setattr(
            checkpoint.safetensors.torch, "save_file", lambda t, p: full() if p.stem == failing else whole(t, p)
        )
    with pytest.raises(CheckpointError, match=r"step-00000002 .*No space left on device; earlier checkpoints are kept"):
        save(tmp_path, 2, keep=1)
    assert [p.name for p in tmp_path.iterdir()] == ["step-00000001"]
    assert checkpoint.newest(tmp_path, pytest.fail).step == 1


def test_a_folder_left_by_a_killed_save_is_ignored_and_replaced(tmp_path: Path) -> None:
    save(tmp_path, 1)
    left = tmp_path / ".step-00000002.tmp"
    left.mkdir()
    (left / "model.safetensors").write_bytes(b"half")
    assert checkpoint.newest(tmp_path, pytest.fail).step == 1
    save(tmp_path, 2)
    assert checkpoint.newest(tmp_path, pytest.fail).step == 2
    assert not left.exists()
