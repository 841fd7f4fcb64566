"""Pair losses without a partition sum."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from contrapose.losses.pair import PairLoss, Part
from contrapose.types import Pairs


class Cosine(PairLoss):
    """``2 - 2 s`` over the positives: the squared distance of unit vectors (BYOL, Grill et al. 2020, eq. 2; with tau 1)."""

    def parts(self, logits: Tensor, pairs: Pairs, seen: dict[str, Tensor] | None) -> dict[str, Part]:
        """See the base class."""
        return {"count": ("sum", None, pairs.pos), "far": ("sum", 2 - 2 * logits, pairs.pos)}

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
            "loss": ("sum", F.softplus(signed), pairs.den),
            "count": ("sum", None, pairs.pos),
        }

    def finish(self, acc: dict[str, Tensor], scale: Tensor | float) -> tuple[Tensor, Tensor]:
        """See the base class."""
        return acc["loss"], acc["count"] > 0
