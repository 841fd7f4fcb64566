"""Optimisers by name, and their state as named tensors (what a checkpoint holds; nothing is pickled)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from contrapose.errors import CheckpointError, ConfigError, did_you_mean

OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "sgd": lambda params, lr: torch.optim.SGD(params, lr=lr, momentum=0.9),
}


def make_optimizer(name: str, groups: list[dict[str, Any]], lr: float) -> torch.optim.Optimizer:
    """The optimiser ``name`` over parameter ``groups``, each with its own ``weight_decay`` and, if it likes, its own ``lr``.

    Each group keeps its base rate as ``initial_lr``, which ``set_lr`` scales.

    Raises:
        ConfigError: no optimiser of that name, or nothing to train.
    """
    if name not in OPTIMIZERS:
        raise ConfigError(f"no optimizer {name!r}{did_you_mean(name, OPTIMIZERS)}", path=("train", "optimizer"))
    groups = [g for g in groups if g["params"]]
    if not groups:
        raise ConfigError("the method has no parameter to train", path=("method",))
    optimizer = OPTIMIZERS[name](groups, lr=lr)
    for group in optimizer.param_groups:
        group["initial_lr"] = group["lr"]
    return optimizer


def set_lr(optimizer: torch.optim.Optimizer, factor: float) -> None:
    """Set every group's learning rate to ``factor`` times its base rate."""
    for group in optimizer.param_groups:
        group["lr"] = group["initial_lr"] * factor


def optimizer_tensors(optimizer: torch.optim.Optimizer, module: nn.Module) -> dict[str, Tensor]:
    """The optimiser's state as ``{"<slot>/<parameter name>": tensor}``; slots are its own (``exp_avg``, ``step``, ...)."""
    names: dict[Tensor, str] = {p: name for name, p in module.named_parameters()}
    return {
        f"{slot}/{names[p]}": value
        for p, slots in optimizer.state.items()
        for slot, value in slots.items()
        if isinstance(value, Tensor)
    }


def load_optimizer_tensors(optimizer: torch.optim.Optimizer, module: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Put back what ``optimizer_tensors`` gave.

    Raises:
        CheckpointError: a tensor belongs to no parameter of the module.
    """
    params = dict(module.named_parameters())
    for key, value in tensors.items():
        slot, name = key.split("/", 1)
        if name not in params:
            raise CheckpointError(f"the checkpoint's optimizer state is of another method: it names {name!r}")
        # Moments live beside their parameter; a step count, which is a scalar, stays on the CPU where torch keeps it.
        device = params[name].device if value.dim() else "cpu"
        optimizer.state[params[name]][slot] = value.to(device)
