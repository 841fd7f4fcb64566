"""A branch: a path from views to embeddings, and whose weights it has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from contrapose.clock import check_schedule
from contrapose.errors import ConfigError


@dataclass(frozen=True)
class Branch:
    """A path from views to embeddings.

    Args:
        views: globs of the views that take it, against ``modality/slot``, or against the slot where there is no ``/``.
        encoder: name of the encoder; by default that of each view's modality.
        tap: the encoder's output that is used; where it is (n, P, D), every position is a row.
        projector: a head node (``{use: mlp, hidden: 2048, out: 128}``), a built module, or None.
        predictor: likewise; a branch's own, never shared.
        of: a branch whose encoder and projector this one shares (``weights: online``) or follows (``ema``, ``frozen``).
        weights: ``online`` is trained; ``ema`` the running mean of ``of``'s; ``frozen`` stays as it was.
        momentum: of ``ema``, may be a schedule.
        grad: False stops the gradient at this branch's output.
        fold: a row is made of so many views of a sample, projected one by one and then side by side, in the views' order, before
            the predictor (PIRL's jigsaw of 9 patches).
        together: views of one modality and shape go through the encoder in one batch, and share BatchNorm's statistics;
            False gives each view a forward pass of its own.
    """

    views: str | list[str] | tuple[str, ...]
    encoder: str | None = None
    tap: str = "pooled"
    projector: Any = None
    predictor: Any = None
    of: str | None = None
    weights: Literal["online", "ema", "frozen"] = "online"
    momentum: float | dict[str, Any] = 0.99
    grad: bool = True
    fold: int | None = None
    together: bool = True

    def __post_init__(self) -> None:
        if isinstance(self.momentum, Mapping):
            check_schedule(self.momentum, ("momentum",))
        elif not 0 <= self.momentum <= 1:
            raise ConfigError(f"a momentum lies between 0 and 1, not {self.momentum}", ("momentum",))
        if self.fold is not None and self.fold < 2:
            raise ConfigError(f"folds at least 2 views into one row, not {self.fold}", ("fold",))
        object.__setattr__(self, "views", (self.views,) if isinstance(self.views, str) else tuple(self.views))
        if self.weights == "ema" and self.of is None:
            raise ConfigError("a branch of weights: ema follows another: name it with of:", ("weights",))
        if self.weights != "online" and self.projector is not None and self.of is not None:
            raise ConfigError(
                f"a branch of weights: {self.weights} has the projector of the branch in of:", ("projector",)
            )
