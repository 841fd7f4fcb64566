"""What a run leaves behind as it goes: ``metrics.csv``, a row a step."""

from __future__ import annotations

import csv
import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from .finite import require_finite_loss
from .loggers import Logger, Row

if TYPE_CHECKING:
    from accelerate import Accelerator

    from contrapose.methods.score import LossOut

FLUSH_SECONDS = 0.25
"""How often the scalars of the steps since are read from the device, written and shown: reading waits for the device."""


class CsvLog:
    """A CSV file that grows by rows of equal columns, cut back to ``until`` (a step) when a run resumes."""

    def __init__(self, path: Path, until: int) -> None:
        self.path = path
        self.columns: list[str] = []
        if path.exists():
            with open(path, newline="") as f:
                reader = csv.DictReader(f)
                # A row that was being written when the run was killed lacks its last columns, or their end: it is never kept,
                # because a checkpoint is only saved once the rows up to it are on disk.
                rows = [r for r in reader if (r["step"] or "").isdigit() and int(r["step"]) <= until]
                self.columns = list(reader.fieldnames or []) if rows else []
            temp = path.with_suffix(".tmp")
            with open(temp, "w", newline="") as f:
                if rows:
                    writer = csv.DictWriter(f, self.columns, extrasaction="ignore", lineterminator="\n")
                    writer.writeheader()
                    writer.writerows(rows)
            os.replace(temp, path)
        self.file = open(path, "a", newline="")  # noqa: SIM115 (open as long as the run)

    def write(self, rows: list[Row]) -> None:
        """Append ``rows``; the first row ever names the columns."""
        fresh = not self.columns
        if fresh:
            self.columns = list(rows[0])
        writer = csv.DictWriter(self.file, self.columns, restval="", extrasaction="ignore", lineterminator="\n")
        if fresh:
            writer.writeheader()
        writer.writerows(rows)
        self.file.flush()

    def sync(self) -> None:
        """Wait until the rows are on disk."""
        os.fsync(self.file.fileno())

    def close(self) -> None:
        """Close the file."""
        with suppress(OSError):  # only where a write has failed, and said so, is anything left to write
            self.file.close()


class Metrics:
    """Collects each step's scalars on their device and reads them four times a second, so that no step waits for a log."""

    def __init__(
        self,
        run: Path | None,
        until: int,
        accelerator: Accelerator,
        show: Callable[[list[Row]], None],
        loggers: Sequence[Logger] = (),
    ) -> None:
        """Log into the folder ``run`` (None: nowhere), going on after step ``until``."""
        self.csv = CsvLog(run / "metrics.csv", until) if run else None
        self.loggers = loggers
        self.accelerator = accelerator
        self.show = show
        self.pending: list[tuple[Row, Tensor, Tensor]] = []
        self.names: list[str] = []
        self.losses = 0
        self.last = time.monotonic()

    def add(self, at: Row, out: LossOut, samples: Tensor) -> None:
        """Note a step: ``at`` (step, epoch, lr), the loss, its terms and metrics, for ``samples`` (B,). Means over processes."""
        self.losses = 1 + len(out.terms)
        self.names = ["loss", *(f"loss/{term}" for term in out.terms), *out.metrics]
        with torch.no_grad():
            values = (*out.terms.values(), *out.metrics.values())
            scalars = torch.stack([out.loss, *(t.to(out.loss) for t in values)])
        if self.accelerator.num_processes > 1:
            scalars = self.accelerator.reduce(scalars, "mean")
        self.pending.append((at, scalars, samples))
        if time.monotonic() - self.last > FLUSH_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Write and show what is pending.

        Raises:
            ContraposeError: a loss is not finite; names the first such step, its term and its samples.
        """
        self.last = time.monotonic()
        if not self.pending:
            return
        values = torch.stack([p[1] for p in self.pending]).tolist()
        rows: list[Row] = [
            {**at, **dict(zip(self.names, v, strict=True))} for (at, _, _), v in zip(self.pending, values, strict=True)
        ]
        samples = [s for _, _, s in self.pending]
        self.pending.clear()
        if self.csv is not None:
            self.csv.write(rows)
        for row, ids in zip(rows, samples, strict=True):
            require_finite_loss(row, self.names[: self.losses], ids)
        for logger in self.loggers:
            logger.write(rows)
        self.show(rows)

    def sync(self) -> None:
        """Flush, and wait until ``metrics.csv`` is on disk: done before a checkpoint, so that it never runs ahead."""
        self.flush()
        if self.csv is not None:
            self.csv.sync()

    def close(self) -> None:
        """Close the files; what is pending is not written."""
        if self.csv is not None:
            self.csv.close()
        for logger in self.loggers:
            logger.close()
