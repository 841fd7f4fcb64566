"""Temperatures, biases and weights that are learnt."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from contrapose.branches.named import Named


class Temperature(nn.Module):
    """1/tau as the exponential of a parameter (CLIP, Radford et al. 2021, section 2.5); free of weight decay.

    Args:
        learn: tau at the start.
        max_scale: 1/tau is clamped to at most this after each optimiser step.
        min_scale: and to at least this; None for no such bound.
    """

    def __init__(self, learn: float, max_scale: float = 100.0, min_scale: float | None = None) -> None:
        super().__init__()
        self.max_scale, self.min_scale = max_scale, min_scale
        self.log_scale = nn.Parameter(torch.tensor(-math.log(learn)))

    def forward(self) -> Tensor:
        """1/tau."""
        return self.log_scale.exp()

    @torch.no_grad()
    def clamp(self) -> None:
        """To be called after the optimiser step, not before the loss, where it would stop the gradient."""
        lowest = None if self.min_scale is None else math.log(self.min_scale)
        self.log_scale.clamp_(min=lowest, max=math.log(self.max_scale))


class Bias(nn.Module):
    """A learnt number added to every logit (SigLIP, Zhai et al. 2023, section 3.1)."""

    def __init__(self, learn: float) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.tensor(float(learn)))

    def forward(self) -> Tensor:
        """The bias."""
        return self.value


class Shares(nn.Module):
    """Weights of several terms: the softmax of parameters times their number, so that all are 1 at first and none can flee to 0.

    Args:
        terms: names of the terms.
    """

    def __init__(self, terms: Sequence[str]) -> None:
        super().__init__()
        self.terms = list(terms)
        self.scores = nn.Parameter(torch.zeros(len(self.terms)))

    def forward(self, term: str) -> Tensor:
        """A term's weight."""
        return len(self.terms) * self.scores.softmax(0)[self.terms.index(term)]


def learnt_shares(weights: Mapping[str, Any]) -> Named:
    """The ``Shares`` of each group, from the terms' weights by name: those that are ``{share: group}``."""
    groups: dict[str, list[str]] = {}
    for term, weight in weights.items():
        if isinstance(weight, Mapping) and "share" in weight:
            groups.setdefault(weight["share"], []).append(term)
    return Named({group: Shares(terms) for group, terms in groups.items()})
