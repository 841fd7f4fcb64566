"""What training couldn't read: ``skipped.csv``, and how much of the data that was."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from contrapose.errors import CheckpointError

SKIPPED_COLUMNS = ("sample", "modality", "reason")
Skip = tuple[int, str, str]
"""Sample id, modality, reason."""


class Skipped:
    """``skipped.csv``: each (sample, modality, reason) that could not be read, once, whatever the number of epochs."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.seen = dict.fromkeys(_read_skipped(path))
        if path.exists():  # a row that was being written when the run ended goes
            temp = path.with_suffix(".tmp")
            with open(temp, "w", newline="", encoding="utf-8") as f:
                csv.writer(f, lineterminator="\n").writerows([SKIPPED_COLUMNS, *self.seen])
            os.replace(temp, path)

    def add(self, skipped: Iterable[Skip]) -> None:
        """Note what a batch skipped."""
        fresh = [s for s in dict.fromkeys(skipped) if s not in self.seen]
        if not fresh:
            return
        self.seen |= dict.fromkeys(fresh)
        new_file = not self.path.exists()
        with open(self.path, "a", newline="", encoding="utf-8") as f:
            csv.writer(f, lineterminator="\n").writerows([SKIPPED_COLUMNS, *fresh] if new_file else fresh)


def read_skipped(folder: Path) -> list[Skip]:
    """What training couldn't read, over all of its processes, each once."""
    return list(dict.fromkeys(s for path in sorted(folder.glob("skipped*.csv")) for s in _read_skipped(path)))


def _read_skipped(path: Path) -> list[Skip]:
    """The whole rows of a file: an end that was torn off is none."""
    if not path.exists():
        return []
    with open(path, newline="", encoding="utf-8") as f:
        text = f.read()
    rows = csv.DictReader(io.StringIO(text[: text.rfind("\n") + 1], newline=""))
    try:
        return [(int(r["sample"]), r["modality"], r["reason"]) for r in rows if r["reason"] is not None]
    except (ValueError, TypeError, KeyError, csv.Error) as error:
        raise CheckpointError(f"{path} is damaged: {error}") from None


TOLERATED = 0.1
"""A larger share of samples with something unreadable is told by the exit status."""


@dataclass(frozen=True)
class Unread:
    """How much of the ``seen`` samples a training couldn't read: ``items`` (modalities of a sample), of ``samples``."""

    items: int
    samples: int
    seen: int

    @property
    def many(self) -> bool:
        """Whether the exit status should tell of it too."""
        return self.samples > TOLERATED * self.seen

    def __str__(self) -> str:
        share = 100 * self.samples / max(1, self.seen)
        return f"{self.samples:,} of {self.seen:,} samples ({share:.1f} %) had something unreadable, {self.items:,} items in all"
