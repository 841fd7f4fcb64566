"""Weights, twins and the optimiser's state split among processes: torch's FSDP2, ``fully_shard``, on each encoder and head.

Not on the whole method: its prototypes, temperatures and terms are read outside any forward pass, so they stay whole everywhere.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import Parameter

from contrapose.branches.heads import is_split, local
from contrapose.errors import ConfigError
from contrapose.methods.gather import total, world_size

if TYPE_CHECKING:
    from contrapose.config.schema import TrainConfig
    from contrapose.methods.method import Method

BLOCK = 1_000_000
"""A block in a ``ModuleList`` or ``Sequential``, of so many parameters, is put together by itself, when it is its turn."""


def wanted(train: TrainConfig) -> bool:
    """Whether to shard: ``train.shard``, or ``accelerate launch --use_fsdp``, and more than one process."""
    return world_size() > 1 and (train.shard or os.environ.get("ACCELERATE_USE_FSDP", "false").lower() == "true")


def shard(method: Method, device: torch.device | str, block: int = BLOCK) -> None:
    """Split the parameters of encoders, heads and twins, which lie on ``device``, among all ranks, in place and for good.

    Each rank keeps a slice of every parameter, as does an optimiser that is made afterwards. A piece is put together while it
    computes, forward and backward; its gradient is averaged over ranks as it is taken apart. Parameters of no dimension, and all
    outside the pieces, stay whole: ``average(whole_parameters(method))`` after the backward pass. All ranks must have equal values.

    Raises:
        ConfigError: two pieces share a parameter.
    """
    owner: dict[Parameter, str] = {}
    for name, piece in _pieces(method):
        for p in piece.parameters():
            if owner.setdefault(p, name) != name:
                raise ConfigError(
                    f"{owner[p]} and {name} share a parameter, so they can't be split", ("train", "shard")
                )
    from torch.distributed.device_mesh import init_device_mesh  # here, since importing them takes half a second
    from torch.distributed.fsdp import fully_shard

    mesh = init_device_mesh(torch.device(device).type, (world_size(),))
    for _, piece in _pieces(method):
        scalars = {p for p in piece.parameters() if p.dim() == 0}
        for part in [*_blocks(piece, block), piece]:
            # Put together anew for the backward pass: a twin has none, after which it would be taken apart.
            fully_shard(part, mesh=mesh, reshard_after_forward=True, ignored_params=scalars)
        # What comes out of a piece is never written to; of what comes out of a block within it torch warns with reason.
        warnings.filterwarnings("ignore", rf"FSDP2-wrapped module \({type(piece).__name__}\) returned a view")
        piece.collective = True  # type: ignore[assignment]


def whole_parameters(method: nn.Module) -> list[Parameter]:
    """The parameters that every rank has whole."""
    return [p for p in method.parameters() if not is_split(p)]


def by_kind(parameters: Iterable[Parameter]) -> list[list[Parameter]]:
    """Whole and split parameters apart, since no kernel takes both at once."""
    found: tuple[list[Parameter], list[Parameter]] = ([], [])
    for p in parameters:
        found[is_split(p)].append(p)
    return [kind for kind in found if kind]


def gathered(tensors: Mapping[str, Tensor], keep: bool) -> dict[str, Tensor]:
    """Whole tensors, put together one at a time and kept, on the CPU, where ``keep``; all ranks must call it."""
    made = {}
    for name, tensor in tensors.items():
        whole = tensor.full_tensor() if is_split(tensor) else tensor  # type: ignore[attr-defined]
        if keep:
            made[name] = whole.detach().cpu()
    return made


def like(value: Tensor, parameter: Tensor) -> Tensor:
    """A whole tensor, equal on all ranks, split as ``parameter`` is."""
    value = value.to(parameter.device)
    if not is_split(parameter):
        return value
    from torch.distributed.tensor import distribute_tensor

    return distribute_tensor(value, parameter.device_mesh, parameter.placements)  # type: ignore[attr-defined]


@torch.no_grad()
def clip(parameters: Iterable[Parameter], largest: float) -> None:
    """Scale gradients so that the norm of all together is at most ``largest``, as torch's ``clip_grad_norm_`` does."""
    params = [*parameters]
    grads = [p.grad for p in params if p.grad is not None]
    split, whole = [local(g) for g in grads if is_split(g)], [g for g in grads if not is_split(g)]
    if not split:
        nn.utils.clip_grad_norm_(params, largest)
        return
    norms = [
        total(nn.utils.get_total_norm(split).square()).sqrt(),
        *([nn.utils.get_total_norm(whole)] if whole else ()),
    ]
    factor = (largest / (torch.stack(norms).norm() + 1e-6)).clamp(max=1.0)
    for grad in (*split, *whole):
        grad.mul_(factor)


def _pieces(method: Method) -> Iterator[tuple[str, nn.Module]]:
    """What is called as a module and has parameters: encoders, heads, and the twins'."""
    towers = method.towers
    rooms = {n: m for n, m in towers.named_children() if n != "twins"}
    rooms |= {f"twins.{t}.{n}": m for t, twin in towers.twins.items() for n, m in twin.named_children()}
    for room, held in rooms.items():
        for name, piece in held.named_children():
            if any(True for _ in piece.parameters()):
                yield f"{room}.{name}", piece


def _blocks(piece: nn.Module, block: int) -> list[nn.Module]:
    """Its large repeated parts, inner ones first. A single layer is none: what follows it may write to its outcome."""
    found = dict.fromkeys(
        child
        for parent in piece.modules()
        if isinstance(parent, (nn.ModuleList, nn.Sequential))
        for child in parent
        if not isinstance(child, nn.ModuleList)
        and any(True for _ in child.children())
        and sum(p.numel() for p in child.parameters()) >= block
    )
    return [*reversed(found)]
