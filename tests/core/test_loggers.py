"""Loggers: what a config names gets every step's scalars."""

from __future__ import annotations

from pathlib import Path

import pytest

from contrapose.engine.loggers import TensorBoard, make_loggers
from contrapose.errors import ConfigError


class Kept:
    """Keeps what it is told."""

    def __init__(self, folder: Path, step: int) -> None:
        self.folder, self.step, self.rows = folder, step, []

    def write(self, rows: list[dict[str, float]]) -> None:
        self.rows += rows

    def close(self) -> None:
        self.rows = None


def test_a_logger_is_built_with_the_run_and_its_step(tmp_path: Path) -> None:
    board, kept = make_loggers(["tensorboard", Kept], tmp_path, 3)
    assert isinstance(board, TensorBoard)
    assert (kept.folder, kept.step) == (tmp_path, 3)
    for logger in (board, kept):
        logger.write([{"step": 4, "epoch": 0, "lr": 1e-3, "loss": 0.5}])
    assert kept.rows[0]["loss"] == 0.5
    board.close()
    assert any((tmp_path / "tensorboard").iterdir())


def test_an_unknown_logger_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"tensorbord.*did you mean 'tensorboard'"):
        make_loggers(["tensorbord"], tmp_path, 0)
