"""Subsets of a row's columns as its views (Ucar et al., SubTab, NeurIPS 2021, arXiv:2110.04361)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from contrapose.errors import ConfigError, warn
from contrapose.types import Sample, View
from contrapose_tabular.choice import Choice, Rate
from contrapose_tabular.marginals import Marginals
from contrapose_tabular.scarf import in_parts, unfitted
from contrapose_tabular.schema import MISSING, Schema

Overlap = Annotated[float, Field(ge=0, lt=1)]
Noise = Literal["swap", "gaussian", "none"]


def columns_of(which: int, of: int, overlap: float, columns: int) -> range:
    """The columns of a subset: ⌊columns / of⌋, and ⌊overlap of so many⌋ that the one before has too (the first, the one after).

    As in the authors' code, what doesn't divide is left over at the end. Raises ``ConfigError`` where there are fewer columns than
    subsets.
    """
    own = columns // of
    if not own:
        raise ConfigError(f"{columns} columns can't be divided into {of} subsets", ("of",))
    shared = int(overlap * own + 1e-9)
    return range(0, own + shared) if which == 0 else range(which * own - shared, (which + 1) * own)


class Subset:
    """One subset of a row's columns, in the order numbers, then categories; the others are blank. Noise on its cells.

    ``swap``: with probability ``rate`` a cell is redrawn from its column's marginal in the training split; the authors shuffle the
    batch's column. ``gaussian``: with probability ``rate`` a number gets normal noise of deviation ``sigma``, of its
    column's own; a category stays.

    The authors' encoder gets the subset's values alone, and thus the values of other columns by the same weights in the next
    subset. Here a row keeps its columns, so an encoder knows which it sees: a blank is a blank, as everywhere in this plugin.

    Args:
        which: the subset, from 0.
        of: how many subsets there are.
        overlap: share of its columns that a subset has from its neighbour beyond.
        noise: see above.
        rate: the paper's masking ratio.
        sigma: of the Gaussian noise, in standard deviations.
        schema: of the table, which the modality gives, to name the columns that are in no subset.
    """

    modality = "tabular"

    def __init__(
        self,
        which: Annotated[int, Field(ge=0)] = 0,
        of: Annotated[int, Field(ge=1)] = 4,
        overlap: Overlap = 0.75,
        noise: Noise = "swap",
        rate: Rate = 0.3,
        sigma: Annotated[float, Field(gt=0)] = 0.1,
        schema: Schema | None = None,
    ) -> None:
        if which >= of:
            raise ConfigError(f"of {of} subsets the last is number {of - 1}, not {which}", ("which",))
        self.which, self.of, self.overlap = which, of, overlap
        self.noise, self.choice, self.sigma = noise, Choice(rate, "bernoulli"), sigma
        columns: list[Any] = [*schema.numeric, *schema.categorical] if schema else []
        self._names = [column.name for column in columns]
        self._marginals: tuple[Marginals, Marginals] | None = None

    def fit(self, samples: Iterable[Sample]) -> None:
        """Take the marginals of these samples, the training split's. Raises ``ConfigError`` for fewer columns than subsets.

        Columns that are left over, in no subset, are told in a warning.
        """
        numeric, categories = in_parts("tabular/subset", samples, self.choice)
        columns_of(self.which, self.of, self.overlap, numeric[0].shape[1] + categories[0].shape[1])
        if left := self._names[len(self._names) // self.of * self.of :]:
            warn(f"{len(self._names)} columns don't divide into {self.of} subsets; in none is: {', '.join(left)}")
        self._marginals = Marginals.least(numeric), Marginals.least(categories)

    def __call__(self, sample: Sample, rng: np.random.Generator) -> list[View]:
        """One view: the row with the subset's columns."""
        row = sample.data["tabular"]
        numeric, categories = row["numeric"], row["categories"]
        f, m = len(numeric), len(numeric) + len(categories)
        if self.noise != "none":
            noisy = self.choice.one(m, rng)
            if self.noise == "swap":
                drawn = self._fitted()
                tickets = rng.integers(drawn[0].rows, size=m)
                numeric = np.where(noisy[:f], drawn[0].draw(tickets[:f]), numeric)
                categories = np.where(noisy[f:], drawn[1].draw(tickets[f:]), categories)
            else:
                added = numeric + self.sigma * rng.standard_normal(f, np.float32)
                numeric = np.where(noisy[:f], added, numeric).astype(np.float32)
        kept = self._kept(m)
        data = {
            "numeric": np.where(kept[:f], numeric, np.float32(np.nan)),
            "categories": np.where(kept[f:], categories, MISSING),
        }
        return [View("", "tabular", data)]

    def batched(self, data: Mapping[str, Tensor], generator: torch.Generator) -> dict[str, Tensor]:
        """The same distribution for a whole batch, ``numeric`` (n, F) and ``categories`` (n, C), on its device."""
        numeric, categories = data["numeric"], data["categories"]
        n, f = numeric.shape
        m, device = f + categories.shape[1], numeric.device
        if self.noise != "none":
            noisy = self.choice.many(n, m, generator, device)
            if self.noise == "swap":
                drawn = self._fitted()
                tickets = torch.randint(drawn[0].rows, (n, m), generator=generator, device=device)
                numeric = torch.where(noisy[:, :f], drawn[0].draw_batched(tickets[:, :f]), numeric)
                categories = torch.where(noisy[:, f:], drawn[1].draw_batched(tickets[:, f:]), categories)
            else:
                added = numeric + self.sigma * torch.randn(n, f, generator=generator, device=device)
                numeric = torch.where(noisy[:, :f], added, numeric)
        kept = torch.from_numpy(self._kept(m)).to(device)
        return {
            "numeric": numeric.masked_fill(~kept[:f], torch.nan),
            "categories": categories.masked_fill(~kept[f:], MISSING),
        }

    def state_dict(self) -> dict[str, Any]:
        """The marginals; nothing before they are fitted."""
        if self._marginals is None:
            return {}
        return {"numeric": self._marginals[0].state_dict(), "categories": self._marginals[1].state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take back what ``state_dict`` gave."""
        self._marginals = Marginals.from_state(state["numeric"]), Marginals.from_state(state["categories"])

    def _kept(self, columns: int) -> np.ndarray[Any, np.dtype[np.bool_]]:
        kept = np.zeros(columns, bool)
        kept[columns_of(self.which, self.of, self.overlap, columns)] = True
        return kept

    def _fitted(self) -> tuple[Marginals, Marginals]:
        if self._marginals is None:
            raise unfitted("tabular/subset")
        return self._marginals

    def __repr__(self) -> str:
        return f"tabular/subset({self.which} of {self.of})"


class Subsets:
    """All of a row's subsets as views ``subset_0``, ``subset_1``, ...: see ``tabular/subset``.

    ``tabular/subset`` under each slot makes the same, in batches too: ``tabular.subset_0: {use: tabular/subset, which: 0}``.

    Args:
        of: how many subsets there are.
        overlap: share of its columns that a subset has from its neighbour beyond.
        noise: ``swap`` a cell for another row's, add ``gaussian`` noise, or ``none``, as the rows are embedded.
        rate: share of the cells with noise.
        sigma: of the Gaussian noise, in standard deviations.
        schema: of the table, which the modality gives, to name the columns that are in no subset.
    """

    modality = "tabular"

    def __init__(
        self,
        of: Annotated[int, Field(ge=1)] = 4,
        overlap: Overlap = 0.75,
        noise: Noise = "swap",
        rate: Rate = 0.3,
        sigma: Annotated[float, Field(gt=0)] = 0.1,
        schema: Schema | None = None,
    ) -> None:
        self.parts = [Subset(which, of, overlap, noise, rate, sigma, schema) for which in range(of)]
        self.view_names = tuple(f"subset_{which}" for which in range(of))

    def fit(self, samples: Iterable[Sample]) -> None:
        """As ``tabular/subset``."""
        self.parts[0].fit(samples)
        self.load_state_dict(self.parts[0].state_dict())

    def __call__(self, sample: Sample, rng: np.random.Generator) -> list[View]:
        """The subsets, each with noise of its own."""
        made = [part(sample, rng)[0] for part in self.parts]
        return [View(name, v.modality, v.data) for name, v in zip(self.view_names, made, strict=True)]

    def state_dict(self) -> dict[str, Any]:
        """The marginals; nothing before they are fitted."""
        return self.parts[0].state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take back what ``state_dict`` gave."""
        for part in self.parts:
            part.load_state_dict(state)

    def __repr__(self) -> str:
        return f"tabular/subsets({len(self.parts)})"
