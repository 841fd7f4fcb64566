"""The loss of methods that tell which of a few ways a view was made (the pace of a clip)."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from contrapose.errors import ConfigError, did_you_mean
from contrapose.losses.head import HeadLoss, Step
from contrapose.types import IDENTITY, Batch


class Classify(HeadLoss):
    """Cross-entropy of a linear layer that tells a column of the rows, a whole number below ``classes``; -1 is left out.

    Args:
        column: of the views' ``meta``, as ``pace`` is of `video/pace`'s.
        classes: how many values it has.
    """

    def __init__(self, column: str, classes: int) -> None:
        super().__init__()
        if classes < 2:
            raise ConfigError(f"tells at least 2 classes apart, not {classes}", ("classes",))
        self.column, self.classes = column, classes

    def setup(self, query: str, dim: int) -> None:
        """See the base class."""
        self.query = query
        self.layer = nn.Linear(dim, self.classes)

    def forward(self, out: Step, batch: Batch) -> Tensor:
        """See the base class. Raises ``ConfigError`` for rows without the column, or whose values are no classes."""
        rows = out.rows(self.query)
        logits = self.layer(rows.z)
        if not len(rows):
            return out.mean(logits.sum(-1), logits.new_zeros(0))
        if self.column not in rows.meta:
            shown = [c for c in rows.meta if c not in IDENTITY and not c.startswith("has:")]
            raise ConfigError(
                f"these rows have no column {self.column!r}{did_you_mean(self.column, shown)}", ("column",)
            )
        told = (
            rows.meta[self.column].nan_to_num(-1).long()
            if rows.meta[self.column].is_floating_point()
            else rows.meta[self.column]
        )
        if int(told.max()) >= self.classes:
            raise ConfigError(f"{self.column} reaches {int(told.max())}, beyond {self.classes} classes", ("classes",))
        known = (told >= 0).to(logits.dtype)
        return out.mean(F.cross_entropy(logits, told.clamp_min(0), reduction="none"), known)
