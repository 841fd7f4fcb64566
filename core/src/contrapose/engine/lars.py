"""Layer-wise adaptive rates, by which large batches are trained."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer


class LARS(Optimizer):
    """Gradient descent with momentum in which each matrix moves in proportion to its length (You et al. 2017, arXiv:1708.03888).

    As SimCLR, BYOL, MoCo v3, Barlow Twins and VICReg use it: the gradient with weight decay is scaled by ``trust`` |w| / |g|, then
    joins the momentum. Biases, norms and whatever else has one dimension aren't scaled. Where either length is 0, neither is it.

    Args:
        params: parameters or groups.
        lr: rate.
        momentum: share of the last step that is kept.
        weight_decay: added to the gradient as this times the weight.
        trust: the trust coefficient.
        vector_lr: what is not scaled has this times the rate (Barlow Twins: 0.024).
    """

    def __init__(
        self,
        params: Any,
        lr: float,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        trust: float = 0.001,
        vector_lr: float = 1.0,
    ) -> None:
        super().__init__(
            params,
            {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "trust": trust, "vector_lr": vector_lr},
        )

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One step; nothing waits for the device."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    self._move(p, group)
        return loss

    def _move(self, p: Tensor, group: dict[str, Any]) -> None:
        change = p.grad.add(p, alpha=group["weight_decay"])  # type: ignore[union-attr]
        lr = group["lr"]
        if p.ndim > 1:
            length, slope = p.norm(), change.norm()
            ratio = group["trust"] * length / slope
            change = change * torch.where((length > 0) & (slope > 0), ratio, torch.ones_like(ratio))
        else:
            lr *= group["vector_lr"]
        kept = self.state[p].setdefault("momentum_buffer", torch.zeros_like(p))
        kept.mul_(group["momentum"]).add_(change)
        p.add_(kept, alpha=-lr)
