"""Where a run's scalars go besides ``metrics.csv``: TensorBoard, or what a plugin registers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from contrapose.config import build

Row = Mapping[str, float | int]


class Logger(Protocol):
    """Built with ``folder`` (the run's) and ``step`` (after which the run starts), as far as its signature takes them."""

    def write(self, rows: Sequence[Row]) -> None:
        """Scalars of the steps since the last call, each with ``step``, ``epoch`` and ``lr``."""

    def close(self) -> None:
        """The run has ended."""


class TensorBoard:
    """Event files in the run's ``tensorboard`` folder: a point each time the losses are read from the device."""

    def __init__(self, folder: Path, step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.writer = SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1)

    def write(self, rows: Sequence[Row]) -> None:
        """See ``Logger``."""
        for name, value in rows[-1].items():
            if name != "step":
                self.writer.add_scalar(name, value, int(rows[-1]["step"]))

    def close(self) -> None:
        """See ``Logger``."""
        self.writer.close()


def make_loggers(nodes: Sequence[Any], folder: Path, step: int) -> list[Logger]:
    """The loggers that ``train.loggers`` names. Raises ``ConfigError`` for an unknown one."""
    return [build("logger", node, ("train", "loggers", n), folder=folder, step=step) for n, node in enumerate(nodes)]
