"""What a look at data finds, and the question that each modality is asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from contrapose.types import Modality, Suggestion

LEAST = 8
"""Fewer things than this can't be contrasted with one another."""
SEEN = 200
"""How many values of a column a modality gets to see."""


@dataclass(frozen=True)
class Claim:
    """A modality of the data: its columns (in a folder, its subfolder alone), and which things have it, (N,) bool."""

    columns: list[str]
    has: np.ndarray
    views: Any
    encoder: Any

    @property
    def said(self) -> str | list[str]:
        """The columns as a config says them."""
        return self.columns[0] if len(self.columns) == 1 else self.columns


@dataclass(frozen=True)
class Found:
    """What lies at ``path``, a table or a folder.

    ``meta`` and ``split`` are as in a config, and leave ``train`` things to train on. ``labels`` counts the values of other
    columns that may serve as a label; ``unused`` are columns that nobody reads; ``notes`` are lines for a person.
    """

    path: Path
    kind: str
    things: int
    modalities: dict[str, Claim]
    meta: dict[str, str] = field(default_factory=dict)
    split: dict[str, Any] = field(default_factory=dict)
    train: int = 0
    labels: dict[str, int] = field(default_factory=dict)
    unused: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def extensions(modality: Modality) -> tuple[str, ...]:
    """The suffixes of the files that a modality reads."""
    return tuple(getattr(modality, "extensions", ()))


def ask(modality: Modality, columns: Mapping[str, Sequence[Any]], root: Path, small: bool) -> Suggestion | None:
    """What a modality would read of these columns, and how; None where it has nothing to suggest."""
    suggest = getattr(modality, "suggest", None)
    found: Suggestion | None = suggest(columns, root, small) if suggest and columns else None
    return found if found is not None and found.columns else None
