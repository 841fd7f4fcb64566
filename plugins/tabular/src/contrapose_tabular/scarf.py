"""Rows whose columns are redrawn from the training split's marginals: SCARF's and VIME's; and the row as it is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from contrapose import view
from contrapose.errors import ConfigError
from contrapose.types import Sample, View
from contrapose_tabular.choice import Choice, How, Rate
from contrapose_tabular.marginals import Marginals


class Scarf:
    """Redraw ⌊``rate`` · M⌋ of a row's M columns, chosen afresh for each row, from the training split's marginals.

    Exactly so many are redrawn; each new value is that of a training row drawn uniformly, another for each column, so it may be
    the value that was there. Columns are drawn before one-hot coding. The paper fills what is missing before it corrupts;
    here missing is a value as any other, both replaced and drawn as often as the training split has it.

    SCARF (Bahri et al., ICLR 2022, arXiv:2106.15147) corrupts one view alone: the other is ``tabular/eval``.

    Args:
        rate: share of the columns that are redrawn (the paper's c; from 0.5 to 0.8 it found little difference).
        choose: ``exact``, so many of each row's columns; ``bernoulli``, each column for itself with probability ``rate``.
    """

    modality = "tabular"
    name = "tabular/scarf"

    def __init__(self, rate: Rate = 0.6, choose: How = "exact") -> None:
        self.choice = Choice(rate, choose)
        self._numeric: Marginals | None = None
        self._categories: Marginals | None = None

    def fit(self, samples: Iterable[Sample]) -> None:
        """Take the marginals of these samples, the training split's. Raises ``ConfigError`` where ``rate`` redraws no column."""
        self._numeric, self._categories = map(Marginals.least, in_parts(self.name, samples, self.choice))

    def __call__(self, sample: Sample, rng: np.random.Generator) -> list[View]:
        """One view: the row with its redrawn columns."""
        row = sample.data["tabular"]
        numeric, categories = self._fitted()
        f, m = len(row["numeric"]), len(row["numeric"]) + len(row["categories"])
        redrawn = self.choice.one(m, rng)
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
        redrawn = self.choice.many(n, m, generator, device)
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
            raise unfitted(self.name)
        return self._numeric, self._categories

    def __repr__(self) -> str:
        return f"{self.name}({self.choice})"


class Vime(Scarf):
    """Redraw each column of a row with probability ``rate`` from the training split's marginal: VIME's mask and shuffle.

    Yoon et al., NeurIPS 2020, eq. 3: the authors shuffle each column of the whole training split once and mask the rows; a shuffled
    value is that of a training row drawn uniformly, another for each column, as here, where it is drawn anew in every epoch. Which
    cells changed is told after corruption: the loss ``tabular/changed`` compares the views.

    Args:
        rate: the paper's p_m.
    """

    name = "tabular/vime"

    def __init__(self, rate: Rate = 0.3) -> None:
        super().__init__(rate, "bernoulli")


def in_parts(name: str, samples: Iterable[Sample], choice: Choice) -> tuple[list[NDArray[Any]], list[NDArray[Any]]]:
    """Parts of the numbers (n, F) float32 and of the categories (n, C) int64 of samples, which a table gives by column.

    Raises ``ConfigError`` for no samples, and where no column would be redrawn.
    """
    numeric, categories = [], []
    if hasattr(samples, "batches"):
        for data, _ in samples.batches():
            numeric.append(data["numeric"].numpy())
            categories.append(data["categories"].numpy())
    elif rows := [sample.data["tabular"] for sample in samples]:
        numeric.append(np.stack([row["numeric"] for row in rows]))
        categories.append(np.stack([row["categories"] for row in rows]))
    if not numeric:
        raise ConfigError(f"{name} has no row to learn the marginals from")
    choice.require(name, numeric[0].shape[1] + categories[0].shape[1])
    return numeric, categories


def unfitted(name: str) -> ConfigError:
    """The error of a view that is used before it is fitted."""
    return ConfigError(f"{name} isn't fitted: call fit(samples) with the training split's samples first")


@view("tabular")
def evaluation(row: Any, rng: np.random.Generator) -> Any:
    """The row as it is."""
    return row
