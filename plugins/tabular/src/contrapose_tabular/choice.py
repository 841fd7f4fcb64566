"""Which of a row's columns are redrawn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from contrapose.errors import ConfigError

Rate = Annotated[float, Field(gt=0, le=1)]
How = Literal["exact", "bernoulli"]


@dataclass(frozen=True)
class Choice:
    """A share ``rate`` of the columns, chosen afresh for each row.

    ``exact``: ⌊rate · M⌋ of M, any as likely (SCARF). ``bernoulli``: each for itself with probability ``rate`` (VIME, SAINT,
    SubTab).
    """

    rate: float
    how: How = "exact"

    def count(self, columns: int) -> int:
        """How many of so many columns are chosen, exactly."""
        return int(self.rate * columns + 1e-9)  # 0.29 * 100 is 28.999...

    def require(self, view: str, columns: int) -> None:
        """Raise ``ConfigError`` where none of so many columns would be chosen, and the view be the row itself."""
        if self.how == "exact" and not self.count(columns):
            raise ConfigError(
                f"{view} at rate {self.rate} redraws none of {columns} columns, and the view would be the row itself: "
                "raise the rate, or give it more columns",
                ("rate",),
            )

    def one(self, columns: int, rng: np.random.Generator) -> NDArray[np.bool_]:
        """For one row, (columns,)."""
        if self.how == "bernoulli":
            return rng.random(columns) < self.rate
        chosen = np.zeros(columns, bool)
        chosen[rng.choice(columns, self.count(columns), replace=False)] = True
        return chosen

    def many(self, rows: int, columns: int, generator: torch.Generator, device: torch.device) -> Tensor:
        """The same for each of many rows, (rows, columns) bool on the generator's device."""
        drawn = torch.rand(rows, columns, generator=generator, device=device)
        if self.how == "bernoulli":
            return drawn < self.rate
        count = self.count(columns)
        if device.type == "cpu":  # four times as fast as torch's
            chosen = torch.from_numpy(np.argpartition(drawn.numpy(), count - 1, axis=1)[:, :count])
        else:
            chosen = drawn.topk(count, dim=1, sorted=False).indices
        return torch.zeros(rows, columns, dtype=torch.bool, device=device).scatter_(1, chosen, True)
