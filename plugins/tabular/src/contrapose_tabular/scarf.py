"""SCARF's corruption of a row (Bahri et al., ICLR 2022, arXiv:2106.15147), and the row as it is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from contrapose import view
from contrapose.errors import ConfigError
from contrapose.types import Sample, View
from contrapose_tabular.marginals import Marginals

Rate = Annotated[float, Field(gt=0, le=1)]


class Scarf:
    """Redraw ⌊``rate`` · M⌋ of a row's M columns, chosen afresh for each row, from the training split's marginals.

    Exactly so many are redrawn; each new value is that of a training row drawn uniformly, another for each column, so it may be
    the value that was there. Columns are drawn before one-hot coding. The paper fills what is missing before it corrupts;
    here missing is a value as any other, both replaced and drawn as often as the training split has it.

    SCARF corrupts one view alone: the other is ``tabular/eval``.

    Args:
        rate: share of the columns that are redrawn (the paper's c; from 0.5 to 0.8 it found little difference).
    """

    modality = "tabular"

    def __init__(self, rate: Rate = 0.6) -> None:
        self.rate = rate
        self._numeric: Marginals | None = None
        self._categories: Marginals | None = None

    def fit(self, samples: Iterable[Sample]) -> None:
        """Take the marginals of these samples, the training split's. Raises ``ConfigError`` where ``rate`` redraws no column."""
        rows = [sample.data["tabular"] for sample in samples]
        if not rows:
            raise ConfigError("tabular/scarf has no row to learn the marginals from")
        numeric, categories = (np.stack([row[part] for row in rows]) for part in ("numeric", "categories"))
        columns = numeric.shape[1] + categories.shape[1]
        if not self.count(columns):
            raise ConfigError(
                f"tabular/scarf at rate {self.rate} redraws none of {columns} columns, and the view would be the row itself: "
                "raise the rate, or give it more columns"
            )
        self._numeric, self._categories = Marginals.of(numeric), Marginals.of(categories)

    def count(self, columns: int) -> int:
        """How many of so many columns are redrawn."""
        return int(self.rate * columns + 1e-9)  # 0.29 * 100 is 28.999...

    def __call__(self, sample: Sample, rng: np.random.Generator) -> list[View]:
        """One view: the row with its redrawn columns."""
        row = sample.data["tabular"]
        numeric, categories = self._fitted()
        f, m = len(row["numeric"]), len(row["numeric"]) + len(row["categories"])
        redrawn = np.zeros(m, bool)
        redrawn[rng.choice(m, self.count(m), replace=False)] = True
        tickets = rng.integers(numeric.rows, size=m)
        data = {
            "numeric": np.where(redrawn[:f], numeric.draw(tickets[:f]), row["numeric"]),
            "categories": np.where(redrawn[f:], categories.draw(tickets[f:]), row["categories"]),
        }
        return [View("", "tabular", data)]

    def batched(self, data: Mapping[str, Tensor], generator: torch.Generator) -> dict[str, Tensor]:
        """The same distribution for a whole batch, ``numeric`` (n, F) and ``categories`` (n, C), on its device."""
        numeric, categories = self._fitted()
        n, f = data["numeric"].shape
        m, device = f + data["categories"].shape[1], data["numeric"].device
        chosen = torch.rand(n, m, generator=generator, device=device).topk(self.count(m), dim=1).indices
        redrawn = torch.zeros(n, m, dtype=torch.bool, device=device).scatter_(1, chosen, True)
        tickets = torch.randint(numeric.rows, (n, m), generator=generator, device=device)
        return {
            "numeric": torch.where(redrawn[:, :f], numeric.draw_batched(tickets[:, :f]), data["numeric"]),
            "categories": torch.where(redrawn[:, f:], categories.draw_batched(tickets[:, f:]), data["categories"]),
        }

    def state_dict(self) -> dict[str, Any]:
        """The marginals: distinct values with their counts; nothing before they are fitted."""
        if self._numeric is None or self._categories is None:
            return {}
        return {"numeric": self._numeric.state_dict(), "categories": self._categories.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take back what ``state_dict`` gave."""
        self._numeric, self._categories = (Marginals.from_state(state[part]) for part in ("numeric", "categories"))

    def _fitted(self) -> tuple[Marginals, Marginals]:
        if self._numeric is None or self._categories is None:
            raise ConfigError("tabular/scarf isn't fitted: call fit(samples) with the training split's samples first")
        return self._numeric, self._categories

    def __repr__(self) -> str:
        return f"tabular/scarf(rate={self.rate})"


@view("tabular")
def evaluation(row: Any, rng: np.random.Generator) -> Any:
    """The row as it is."""
    return row
