"""Temperatures and biases that are learnt."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class Temperature(nn.Module):
    """1/tau as the exponential of a parameter (CLIP, Radford et al. 2021, section 2.5); free of weight decay.

    Args:
        learn: tau at the start.
        max_scale: 1/tau is clamped to this after each optimiser step.
    """

    def __init__(self, learn: float, max_scale: float = 100.0) -> None:
        super().__init__()
        self.max_scale = max_scale
        self.log_scale = nn.Parameter(torch.tensor(-math.log(learn)))

    def forward(self) -> Tensor:
        """1/tau."""
        return self.log_scale.exp()

    @torch.no_grad()
    def clamp(self) -> None:
        """To be called after the optimiser step, not before the loss, where it would stop the gradient."""
        self.log_scale.clamp_(max=math.log(self.max_scale))


class Bias(nn.Module):
    """A learnt number added to every logit (SigLIP, Zhai et al. 2023, section 3.1)."""

    def __init__(self, learn: float) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.tensor(float(learn)))

    def forward(self) -> Tensor:
        """The bias."""
        return self.value
