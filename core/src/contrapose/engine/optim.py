"""Optimisers by name, and their state as named tensors (what a checkpoint holds; nothing is pickled)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from contrapose.config import bind
from contrapose.errors import CheckpointError, ConfigError, did_you_mean

from .lars import LARS
from .shard import by_kind, like

Params = list[dict[str, Any]]


def adamw(params: Params, lr: float, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8) -> AdamW:
    """AdamW (Loshchilov & Hutter 2019)."""
    return AdamW(params, lr, betas, eps)


def adam(params: Params, lr: float, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8) -> Adam:
    """Adam (Kingma & Ba 2015)."""
    return Adam(params, lr, betas, eps)


def sgd(params: Params, lr: float, momentum: float = 0.9, nesterov: bool = False) -> SGD:
    """Gradient descent with momentum."""
    return SGD(params, lr, momentum, nesterov=nesterov)


def lars(params: Params, lr: float, momentum: float = 0.9, trust: float = 0.001, vector_lr: float = 1.0) -> LARS:
    """Layer-wise adaptive rates, for large batches (You et al. 2017)."""
    return LARS(params, lr, momentum, trust=trust, vector_lr=vector_lr)


OPTIMIZERS: dict[str, Callable[..., Optimizer]] = {"adam": adam, "adamw": adamw, "lars": lars, "sgd": sgd}


def make_optimizer(node: Any, groups: Params, lr: float) -> Optimizer:
    """The optimiser that ``node`` says: a name, or ``{use: sgd, momentum: 0.95}``.

    Args:
        node: the config's ``train.optimizer``.
        groups: parameter groups, each with its own ``weight_decay`` and, if it likes, its own ``lr``.
        lr: the base rate of the others. Each group keeps its own as ``initial_lr``, which ``set_lr`` scales.

    Raises:
        ConfigError: no optimiser of that name, no such argument, or nothing to train.
    """
    path = ("train", "optimizer")
    arguments = dict(node) if isinstance(node, Mapping) else {"use": node}
    name = arguments.pop("use", None)
    if name not in OPTIMIZERS:
        raise ConfigError(f"no optimizer {name!r}{did_you_mean(str(name), OPTIMIZERS)}", path)
    groups = [{**g, "params": kind} for g in groups for kind in by_kind(g["params"])]
    if not groups:
        raise ConfigError("the method has no parameter to train", ("method",))
    factory = OPTIMIZERS[name]
    bound = bind(factory, arguments, path, f"the optimizer {name!r}", {"params": groups, "lr": lr})
    optimizer = factory(**bound)
    for group in optimizer.param_groups:
        group["initial_lr"] = group["lr"]
    return optimizer


def set_lr(optimizer: Optimizer, factor: float) -> None:
    """Set every group's learning rate to ``factor`` times its base rate."""
    for group in optimizer.param_groups:
        group["lr"] = group["initial_lr"] * factor


def set_decay(optimizer: Optimizer, shares: list[float], decay: float) -> None:
    """Set every group's weight decay to its share, 0 or 1, of ``decay``."""
    for group, share in zip(optimizer.param_groups, shares, strict=True):
        group["weight_decay"] = share * decay


def optimizer_tensors(optimizer: Optimizer, module: nn.Module) -> dict[str, Tensor]:
    """The optimiser's state as ``{"<slot>/<parameter name>": tensor}``; slots are its own (``exp_avg``, ``step``, ...)."""
    names: dict[Tensor, str] = {p: name for name, p in module.named_parameters()}
    return {
        f"{slot}/{names[p]}": value
        for p, slots in optimizer.state.items()
        for slot, value in slots.items()
        if isinstance(value, Tensor)
    }


def load_optimizer_tensors(optimizer: Optimizer, module: nn.Module, tensors: Mapping[str, Tensor]) -> None:
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
        optimizer.state[params[name]][slot] = like(value, params[name]) if value.dim() else value.to("cpu")
