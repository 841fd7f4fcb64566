"""Early stopping: the loss on a split that isn't trained on, whose views are drawn once, after each epoch."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from accelerate import Accelerator

from contrapose.data.split import TRAIN
from contrapose.errors import CheckpointError, ConfigError, ContraposeError, did_you_mean
from contrapose.types import Batch

from .checkpoint import folder_name
from .finite import ADVICE
from .logs import CsvLog
from .randomness import reseed

if TYPE_CHECKING:
    from contrapose.config.schema import EarlyStopping
    from contrapose.data.loader import Loader
    from contrapose.methods.method import Method

    from .build import Parts
    from .skipped import Skipped

FILE = "validation.csv"
KEPT = 256 * 2**20
"""So many bytes of validation batches stay in a process's memory, on the training device; of more none do."""


def require_split(parts: Parts) -> None:
    """Raise ``ConfigError`` where the config stops early by a split that the data lack, or that has too few samples to contrast."""
    said = parts.run.train.early_stopping
    if said is None:
        return
    path = ("train", "early_stopping", "split")
    others = [name for name in parts.splits if name != TRAIN]
    if said.split not in others:
        near = did_you_mean(said.split, others)
        there = f"; there is {', '.join(others) or 'none but train'}"
        raise ConfigError(f"the data have no split {said.split!r} that isn't trained on{near or there}", path)
    if len(parts.splits[said.split]) < 2:
        raise ConfigError(f"the split {said.split!r} has too few samples to contrast", path)


def validation_batches(parts: Parts, accelerator: Accelerator) -> Callable[[], Iterable[Batch]] | None:
    """What gives the validation batches, the same at each call; None where the config asks for none.

    Each of ``passes`` is the whole split with views of its own, in an order of its own. Where they are at most ``KEPT`` bytes, they
    are made once; views that learn from the run are made anew, as they change.
    """
    said = parts.run.train.early_stopping
    if said is None:
        return None
    loader = parts.train_loader(
        accelerator.process_index, accelerator.num_processes, accelerator.device, part=said.split
    )

    return StaticBatches(loader, said.passes, keep=not parts.plan.learning)


class StaticBatches:
    """The batches of ``passes`` over a loader's samples, the same at each call.

    Unless they are more than ``KEPT`` bytes, or ``keep`` is False, they are made once.
    """

    def __init__(self, loader: Loader, passes: int, keep: bool = True) -> None:
        self._loader, self._passes, self._keep = loader, passes, keep
        self._kept: list[Batch] | None = None

    def __call__(self) -> Iterable[Batch]:
        """All of them."""
        return self._made() if self._kept is None else self._kept

    def _made(self) -> Iterator[Batch]:
        kept: list[Batch] = []
        size = 0
        for number in range(self._passes):
            self._loader.set_epoch(number)
            for batch in self._loader:
                size += bytes_of(batch)
                if size > KEPT:
                    self._keep = False
                    kept.clear()
                if self._keep:
                    kept.append(batch)
                yield batch
        if self._keep:
            self._kept = kept
            self._loader.close()


def bytes_of(batch: Batch) -> int:
    """How much memory the tensors of a batch take."""
    sizes: list[int] = []

    def count(tensor: torch.Tensor) -> torch.Tensor:
        sizes.append(tensor.nbytes)
        return tensor

    batch.map(count)
    return sum(sizes)


class Validation:
    """Measures after each epoch, keeps ``validation.csv``, and knows the best step and when to stop.

    All that it knows is in the file, cut back to the checkpoint's step on a resume: it goes on as if it had never stopped.
    """

    def __init__(
        self,
        batches: Callable[[], Iterable[Batch]],
        said: EarlyStopping,
        folder: Path,
        seed: int,
        until: int,
        accelerator: Accelerator,
        skipped: Skipped,
    ) -> None:
        self.batches, self.said, self.seed, self.accelerator, self.skipped = batches, said, seed, accelerator, skipped
        path = folder / FILE
        self.log = CsvLog(path, until) if accelerator.is_main_process else None
        accelerator.wait_for_everyone()
        self.found = [(step, loss) for step, loss in read_validation(folder) if step <= until]

    def __call__(self, method: Method, step: int, epoch: int) -> bool:
        """Measure and note the mean loss over the split's passes after ``step``; whether it is the least so far.

        All processes call it. Raises ``ContraposeError`` where it isn't finite.
        """
        loss = self._measure(method)
        if not math.isfinite(loss):
            raise ContraposeError(f"the loss on {self.said.split} is {loss} after step {step}: {ADVICE}")
        self.found.append((step, loss))
        if self.log is not None:
            self.log.write([{"step": step, "epoch": epoch, "loss": loss}])
            self.log.sync()
        return self.best == step

    @torch.no_grad()
    def _measure(self, method: Method) -> float:
        was = method.training
        method.eval()
        total, count = 0.0, 0
        for number, batch in enumerate(self.batches()):
            reseed(
                self.seed, "validate", number, self.accelerator.process_index
            )  # whether or not making it drew numbers
            with self.accelerator.autocast():
                out = method.loss(batch)
            loss = self.accelerator.reduce(out.loss.detach(), "mean")
            size = int(self.accelerator.reduce(torch.tensor(len(batch.sample), device=loss.device), "sum"))
            total, count = total + size * float(loss), count + size
            if not self.found:  # the same samples can't be read each time
                self.skipped.add(batch.skipped)
        method.forget()
        method.train(was)
        return total / max(1, count)

    @property
    def best(self) -> int | None:
        """The step of the least loss, the first of equals; None before the first."""
        return least(self.found)

    @property
    def over(self) -> bool:
        """Whether ``patience`` epochs have passed since the best."""
        return _since(self.found) >= self.said.patience

    @property
    def spare(self) -> str | None:
        """The name of the checkpoint that must stay."""
        return None if self.best is None else folder_name(self.best)

    def close(self) -> None:
        """Close the file."""
        if self.log is not None:
            self.log.close()


def least(found: Sequence[tuple[int, float]]) -> int | None:
    """The first step of the least loss; without any, None."""
    return min(found, key=lambda pair: pair[1])[0] if found else None


def _since(found: Sequence[tuple[int, float]]) -> int:
    """How often it was measured since the least."""
    best = least(found)
    return sum(step > best for step, _ in found) if best is not None else 0


def best_step(folder: Path, last: int) -> int | None:
    """The step up to ``last`` whose weights are the run's, by its ``validation.csv``; None where nothing was measured.

    A row beyond the last checkpoint is that of a process that was killed before it had saved.
    """
    return least([(step, loss) for step, loss in read_validation(folder) if step <= last])


def verdict(folder: Path, patience: int) -> str | None:
    """What a person is told once training has ended; None where nothing was measured."""
    found = read_validation(folder)
    best = least(found)
    if best is None:
        return None
    since = _since(found)
    why = f"no better in {since} epochs since" if since >= patience else "all epochs are done"
    return f"least validation loss {dict(found)[best]:.4f}, after step {best} ({why}): the run has the weights of that step"


def read_validation(folder: Path) -> list[tuple[int, float]]:
    """The steps of ``validation.csv`` with their losses; none where there is no such file. Raises ``CheckpointError``."""
    path = folder / FILE
    if not path.exists():
        return []
    try:
        with open(path, newline="", encoding="utf-8") as file:
            rows = [*csv.DictReader(file)]
        return [(int(row["step"]), float(row["loss"])) for row in rows if row["step"] and row["loss"]]
    except (ValueError, TypeError, KeyError, csv.Error) as error:
        raise CheckpointError(f"{path} is damaged: {error}") from None
