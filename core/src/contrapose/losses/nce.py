"""The NCE family: one loss with three choices."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from contrapose.losses.pair import EXACT, PairLoss, Part
from contrapose.types import Pairs


class NCE(PairLoss):
    r"""Contrast each anchor's positives with everything in its denominator.

    .. math:: l_i = -\sum_j p_{ij} \Big[ s_{ij} - \log \sum_k d_{ik} e^{s_{ik}} \Big]

    with p the positives' weights normalised per anchor and d the denominator's. Anchors without a positive, or without
    anything in the denominator, have no loss and don't count in the mean.

    Args:
        denominator: ``all`` takes whatever the relation admits (SimCLR, SupCon, MoCo); ``negatives`` leaves the positives out
            (decoupled contrastive learning, Yeh et al. 2022); ``own`` contrasts each positive with itself and the negatives,
            never with the anchor's other positives.
        positives: ``out`` averages the log-probabilities (SupCon's L_out, Khosla et al. 2020, eq. 2), ``in`` takes the
            log of the average probability (L_in, eq. 3), ``sum`` that of their whole probability (MIL-NCE, Miech et al. 2020,
            eq. 1; CoCLR), which is L_in less the log of the number of positives.
        negatives: ``sum`` as it stands; ``debiased`` corrects the sum for the ``prior`` chance that a negative is a positive
            (Chuang et al. 2020, eq. 8); ``hard`` also weighs each negative by exp(beta s) (Robinson et al. 2021, eq. 4).
        prior: tau+ of the debiased estimators.
        beta: concentration of ``hard``, on the logit s/tau as in the authors' code.
    """

    def __init__(
        self,
        denominator: Literal["all", "negatives", "own"] = "all",
        positives: Literal["out", "in", "sum"] = "out",
        negatives: Literal["sum", "debiased", "hard"] = "sum",
        prior: float = 0.1,
        beta: float = 1.0,
    ) -> None:
        self.denominator, self.positives, self.negatives = denominator, positives, negatives
        self.prior, self.beta = prior, beta
        self.passes = 2 if denominator == "own" else 1

    def parts(self, logits: Tensor, pairs: Pairs, seen: dict[str, Tensor] | None) -> dict[str, Part]:
        """See the base class."""
        pos, den = pairs.pos, pairs.den
        if seen is not None:
            return {"own": ("sum", F.softplus(seen["negatives"][:, None] - logits, threshold=EXACT), pos)}
        attract = logits if pairs.attract is None else logits * pairs.attract[:, None]
        parts: dict[str, Part] = {"count": ("sum", None, pos), "attract": ("sum", attract, pos)}
        if self.positives != "out":
            parts["inside"] = ("lse", attract, pos)
        if self.denominator == "all" and self.negatives == "sum":
            return parts | {"all": ("lse", logits, den)}
        negative = den.masked_fill(pos > 0, 0.0)
        if self.negatives != "hard":
            parts["negatives"] = ("lse", logits, negative)
        if self.negatives != "sum":
            parts["positives"] = ("lse", logits, den.masked_fill(pos <= 0, 0.0))
            parts["mean positive"] = ("lse", logits, pos)
            parts["how many"] = ("sum", None, negative)
        if self.negatives == "hard":
            parts["tilted"] = ("lse", (1 + self.beta) * logits, negative)
            parts["tilt"] = ("lse", self.beta * logits, negative)
        return parts

    def finish(self, acc: dict[str, Tensor], scale: Tensor | float) -> tuple[Tensor, Tensor]:
        """See the base class."""
        count = acc["count"]
        valid = count > 0
        n = torch.where(valid, count, 1.0)
        if self.denominator == "own":
            valid = valid & ~acc["negatives"].isneginf()
            return torch.where(valid, acc["own"], 0.0) / n, valid
        log_den = self._log_denominator(acc, scale, n)
        valid = valid & ~log_den.isneginf()  # NaN stays, so that a broken network is seen
        if self.positives != "out":
            drawn = torch.where(valid, acc["inside"], 0.0) - (n.log() if self.positives == "in" else 0.0)
        else:
            drawn = acc["attract"] / n
        return torch.where(valid, torch.where(valid, log_den, 0.0) - drawn, 0.0), valid

    def _log_denominator(self, acc: dict[str, Tensor], scale: Tensor | float, n: Tensor) -> Tensor:
        if self.negatives == "sum":
            return acc["all"] if self.denominator == "all" else acc["negatives"]
        many = acc["how many"]
        some = many > 0
        safe = torch.where(some, many, 1.0)
        negatives = acc["negatives"] if self.negatives == "debiased" else safe.log() + acc["tilted"] - acc["tilt"]
        negatives = torch.where(some, negatives, 0.0)
        single = torch.where(acc["count"] > 0, acc["mean positive"], 0.0) - n.log()
        top = torch.maximum(negatives, single).detach()
        found = ((negatives - top).exp() - self.prior * many * (single - top).exp()) / (1 - self.prior)
        above = found > torch.finfo(found.dtype).tiny
        log_found = torch.where(above, torch.where(above, found, 1.0).log(), -math.inf)
        # No less than if all negatives were as far away as unit vectors can be. A NaN stays, by way of top.
        corrected = top + torch.maximum(log_found, safe.log() - scale - top)
        corrected = torch.where(some, corrected, -math.inf)
        return torch.logaddexp(corrected, acc["positives"]) if self.denominator == "all" else corrected
