"""BatchNorm by the statistics of the whole batch on all ranks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from contrapose.errors import ConfigError

PLAIN = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


class SyncNorm(nn.modules.batchnorm._BatchNorm):
    """BatchNorm1d, 2d or 3d over the rows of all ranks, however many each has, with the exact gradient; on any backend.

    torch's ``SyncBatchNorm`` is for GPUs alone. The state is that of a BatchNorm, by the same names, so that a checkpoint serves
    both. All ranks must call it equally often; one that has no rows calls it on what doesn't count (``absent``).

    Ioffe & Szegedy 2015, algorithm 1.
    """

    absent = False

    @property
    def collective(self) -> bool:
        """Whether its next forward pass waits for the other ranks."""
        return self.training or self.running_mean is None

    def _check_input_dim(self, input: Tensor) -> None:
        if input.dim() < 2:
            raise ValueError(f"expected (rows, channels, ...), got {tuple(input.shape)}")

    def forward(self, input: Tensor) -> Tensor:
        """(n, C, ...) to the same shape and dtype."""
        if not (self.collective and dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1):
            return super().forward(input)
        self._check_input_dim(input)
        shape = (1, -1, *[1] * (input.dim() - 2))
        with torch.autocast(input.device.type, enabled=False):
            x = input if input.dtype == torch.float64 else input.float()
            made, mean, var, count = _Standardise.apply(x, self.eps, self.absent)
            if self.training and self.running_mean is not None:
                self._follow(mean, var * (count / (count - 1).clamp(min=1)))
            if self.affine:
                made = made * self.weight.view(shape) + self.bias.view(shape)
        return made.to(input.dtype)

    @torch.no_grad()
    def _follow(self, mean: Tensor, var: Tensor) -> None:
        self.num_batches_tracked.add_(1)  # type: ignore[union-attr]
        share = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum  # type: ignore[arg-type]
        for running, value in ((self.running_mean, mean), (self.running_var, var)):
            running.lerp_(value.to(running.dtype), share)  # type: ignore[union-attr]


def synchronise(module: nn.Module) -> nn.Module:
    """Put a ``SyncNorm`` in the place of each BatchNorm inside ``module``, with its weights; gives the module.

    Raises:
        ConfigError: a class of its own that derives from BatchNorm, which may do more than it.
    """
    for parent, way in [(m, name) for name, m in module.named_modules()]:
        for name, norm in parent.named_children():
            if not isinstance(norm, nn.modules.batchnorm._BatchNorm) or isinstance(norm, SyncNorm):
                continue
            if type(norm) not in PLAIN:
                raise ConfigError(
                    f"{f'{way}.{name}'.lstrip('.')} is a {type(norm).__name__}, of which only its author knows how it is "
                    "synchronised: take a network with torch's own BatchNorm",
                    ("train", "sync_batchnorm"),
                )
            made = SyncNorm(norm.num_features, norm.eps, norm.momentum, norm.affine, norm.track_running_stats)
            made._parameters.update(norm._parameters)
            made._buffers.update(norm._buffers)
            parent._modules[name] = made.train(norm.training)
    return module


@contextmanager
def absent(module: nn.Module) -> Iterator[None]:
    """Within it, what a module is called on has no share in any BatchNorm's statistics."""
    norms = [m for m in module.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm) and m.training]
    for m in norms:
        if isinstance(m, SyncNorm):
            m.absent = True
        else:
            m.eval()
    try:
        yield
    finally:
        for m in norms:
            m.train()
            if isinstance(m, SyncNorm):
                m.absent = False


class _Standardise(torch.autograd.Function):
    """(n, C, ...) to mean 0 and variance 1 of each channel over all ranks, those statistics (C,), and how many numbers they are of.

    The mean comes before the squares, so that a large mean costs no digits.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, eps: float, absent: bool) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        over = [d for d in range(x.dim()) if d != 1]
        shape = (1, -1, *[1] * (x.dim() - 2))
        present = 0.0 if absent else 1.0
        size = x.new_tensor([present * x.numel() / x.shape[1]])
        sums = torch.cat([present * x.sum(over), size])
        dist.all_reduce(sums)
        count = sums[-1].clamp(min=1)
        mean = sums[:-1] / count
        centred = x - mean.view(shape)
        var = present * centred.square().sum(over)
        dist.all_reduce(var)
        var = var / count
        scale = (var + eps).rsqrt()
        made = centred * scale.view(shape)
        ctx.save_for_backward(made, scale, count)
        ctx.over, ctx.shape, ctx.present = over, shape, present
        ctx.mark_non_differentiable(mean, var, count)
        return made, mean, var, count

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        made, scale, count = ctx.saved_tensors
        grad = grads[0]
        # Rows that don't count have a share in no statistic, yet what passes through them must not be lost.
        sums = torch.cat([grad.sum(ctx.over), (grad * made).sum(ctx.over)])
        dist.all_reduce(sums)
        first, second = (s.view(ctx.shape) * ctx.present / count for s in sums.chunk(2))
        return (grad - first - made * second) * scale.view(ctx.shape), None, None
