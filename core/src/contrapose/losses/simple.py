"""Pair losses without a partition sum."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from contrapose.losses.pair import EXACT, PairLoss, Part
from contrapose.types import Pairs


class Cosine(PairLoss):
    """``2 - 2 s`` over the positives: the squared distance of unit vectors (BYOL, Grill et al. 2020, eq. 2; with tau 1).

    Args:
        distance: False gives ``-s`` instead (SimSiam, Chen & He 2021, eq. 1): half the gradient, and another zero.
    """

    def __init__(self, distance: bool = True) -> None:
        self.distance = distance

    def parts(self, logits: Tensor, pairs: Pairs, seen: dict[str, Tensor] | None) -> dict[str, Part]:
        """See the base class."""
        far = 2 - 2 * logits if self.distance else -logits
        return {"count": ("sum", None, pairs.pos), "far": ("sum", far, pairs.pos)}

    def finish(self, acc: dict[str, Tensor], scale: Tensor | float) -> tuple[Tensor, Tensor]:
        """See the base class."""
        valid = acc["count"] > 0
        return acc["far"] / torch.where(valid, acc["count"], 1.0), valid


class Sigmoid(PairLoss):
    """Every pair a binary choice: ``sum_j softplus(-+ s_ij)`` (SigLIP, Zhai et al. 2023, eq. 1), averaged over anchors."""

    def parts(self, logits: Tensor, pairs: Pairs, seen: dict[str, Tensor] | None) -> dict[str, Part]:
        """See the base class."""
        signed = torch.where(pairs.pos > 0, -logits, logits)
        return {
            "loss": ("sum", F.softplus(signed, threshold=EXACT), pairs.den),
            "count": ("sum", None, pairs.pos),
        }

    def finish(self, acc: dict[str, Tensor], scale: Tensor | float) -> tuple[Tensor, Tensor]:
        """See the base class."""
        return acc["loss"], acc["count"] > 0


class Margin(PairLoss):
    """``d^2 / 2`` over the positives and ``max(0, margin - d)^2 / 2`` over the negatives, each the mean over its pairs.

    Hadsell et al. 2006, eq. 4, where d is minus the logit: for a term with ``similarity: euclidean`` and tau 1. The paper sums over
    given pairs; the two means keep a batch's few positives from drowning in its negatives. An anchor that has only one of the
    two kinds has that part alone.

    Args:
        margin: negatives farther than this have no loss.
    """

    def __init__(self, margin: float = 1.0) -> None:
        self.margin = margin

    def parts(self, logits: Tensor, pairs: Pairs, seen: dict[str, Tensor] | None) -> dict[str, Part]:
        """See the base class."""
        negative = pairs.den.masked_fill(pairs.pos > 0, 0.0)
        return {
            "count": ("sum", None, pairs.pos),
            "near": ("sum", logits.square() / 2, pairs.pos),
            "negatives": ("sum", None, negative),
            "far": ("sum", F.relu(self.margin + logits).square() / 2, negative),
        }

    def finish(self, acc: dict[str, Tensor], scale: Tensor | float) -> tuple[Tensor, Tensor]:
        """See the base class."""
        some, others = acc["count"] > 0, acc["negatives"] > 0
        near = acc["near"] / torch.where(some, acc["count"], 1.0)
        far = acc["far"] / torch.where(others, acc["negatives"], 1.0)
        return near + far, some | others
