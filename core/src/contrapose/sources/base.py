"""Where keys come from beyond the branches' own rows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, Literal, Protocol

import torch
from torch import Tensor, nn
from torch.nn import Parameter

from contrapose.clock import Clock
from contrapose.errors import ConfigError
from contrapose.types import Rows


class Step(Protocol):
    """What a source may ask of the step's outputs."""

    clock: Clock
    seed: int

    def rows(self, ref: str, scope: Literal["local", "global"] = "local") -> Rows:
        """A table by reference."""


class Source(nn.Module, ABC):
    """Base of sources. State lives in parameters or persistent buffers only.

    ``refs``: the tables that it reads, which are kept for it; the first gives its width and columns while it has no rows.
    ``counted``: it is as large as the largest sample id, so it needs samples that are numbered from 0 without gaps.
    """

    refs: tuple[str, ...] = ()
    counted: bool = False

    def setup(self, dim: Callable[[str], int], sources: Mapping[str, Source]) -> None:
        """Called once, when all branches are known: ``dim(ref)`` is the width of a table."""

    def width(self, dim: Callable[[str], int], table: str = "") -> int:
        """Width of one of its tables. Raises ``ConfigError`` where there is no such table."""
        if table:
            raise ConfigError(f"this source has one table, and no {table!r}")
        return dim(self.refs[0])

    @abstractmethod
    def rows(self, out: Step, table: str = "") -> Rows | None:
        """The table now, or None while there is nothing to offer."""

    def annotate(self, rows: Rows) -> dict[str, Tensor]:
        """Columns (N,) that this source knows of any rows (the cluster of a sample)."""
        return {}

    def commit(self, out: Step) -> None:
        """Called once per optimiser step, after it."""

    def epoch(self, embed: Callable[[str], Rows], clock: Clock) -> None:
        """Called at the start of each epoch where overridden; ``embed(ref)`` is that table over the whole training set."""

    def frozen(self, clock: Clock) -> list[Parameter]:
        """Parameters that don't move in this step."""
        return []


class Stored(Source):
    """A source whose buffers take their shapes from the first rows they hold; a checkpoint may bring them before that."""

    _here: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("_here", torch.zeros(0), persistent=False)  # knows the device before there is a row
        self._made: set[str] = set()

    def keep(self, name: str, value: Tensor) -> None:
        """Set the persistent buffer ``name``."""
        self._made.add(name)
        self._buffers[name] = value

    def column_names(self) -> list[str]:
        """Names of the stored columns."""
        return [n.removeprefix("column ") for n in self._buffers if n.startswith("column ")]

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        saved = {k.removeprefix(prefix): v for k, v in state_dict.items() if k.startswith(prefix)}
        for name in self._made - set(saved):
            self._made.discard(name)
            del self._buffers[name]
        for name, value in saved.items():
            like = self._buffers.get(name)
            if name not in self._parameters and (like is None or like.shape != value.shape):
                self.keep(name, torch.empty_like(value, device=self._here.device))
        super()._load_from_state_dict(state_dict, prefix, *args)
