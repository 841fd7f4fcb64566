"""What a person sees while a run goes: a live line in a terminal, a line an epoch anywhere else."""

from __future__ import annotations

import time

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from .logs import Row


def clock_time(seconds: float) -> str:
    """``95 -> "1:35"``, ``4000 -> "1:06:40"``."""
    minutes, s = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{s:02}" if hours else f"{minutes}:{s:02}"


class ProgressLine:
    """Epoch, loss, learning rate, samples a second and the time left."""

    def __init__(
        self, console: Console, start: int, steps: int, steps_per_epoch: int, batch_size: int, quiet: bool
    ) -> None:
        self.console, self.quiet = console, quiet
        self.start, self.steps, self.steps_per_epoch, self.batch_size = start, steps, steps_per_epoch, batch_size
        self.epochs = -(-steps // steps_per_epoch)
        self.began = time.monotonic()
        self.losses: list[float] = []
        self.live: Progress | None = None
        if console.is_terminal and not quiet:
            self.live = Progress(BarColumn(), TextColumn("{task.description}"), console=console, auto_refresh=False)
            self.task = self.live.add_task("", total=steps, completed=start)
            self.live.start()

    def show(self, rows: list[Row]) -> None:
        """Show the steps done since: the last of them on the live line, or a line for each epoch that ended."""
        if self.live is not None:
            row = rows[-1]
            self.live.update(self.task, completed=int(row["step"]), description=self._line(row, float(row["loss"])))
            self.live.refresh()
            return
        for row in rows:
            self.losses.append(float(row["loss"]))
            if int(row["step"]) % self.steps_per_epoch == 0 or row["step"] == self.steps:
                if not self.quiet:
                    self.console.print(
                        self._line(row, sum(self.losses) / len(self.losses)), highlight=False, soft_wrap=True
                    )
                self.losses.clear()

    def close(self) -> None:
        """Leave the terminal as it was."""
        if self.live is not None:
            self.live.stop()

    def _line(self, row: Row, loss: float) -> str:
        step = int(row["step"])
        rate = (step - self.start) / max(1e-9, time.monotonic() - self.began)
        left = (self.steps - step) / max(1e-9, rate)
        return (
            f"epoch {int(row['epoch']) + 1}/{self.epochs}  loss {loss:.4f}  lr {row['lr']:.2e}  "
            f"{rate * self.batch_size:,.0f} samples/s  {clock_time(left)} left"
        )
