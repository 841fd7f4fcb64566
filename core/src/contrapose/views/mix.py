"""Views that are made of a whole batch's other views."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from contrapose.errors import ConfigError
from contrapose.types import ViewBatch


@runtime_checkable
class BatchMixer(Protocol):
    """Makes a view from several samples' views of one slot, after collation and on the device. ``of``: that slot."""

    modality: str
    of: str

    def mix(self, views: ViewBatch, sample: Tensor, generator: torch.Generator) -> ViewBatch:
        """The mixed views of ``views``, which aren't empty.

        ``sample`` (B,) are the ids of the batch. Each mixed view belongs to one of the samples that went into it (``index``), and
        says in columns which others did, and by what share.
        """


@dataclass(frozen=True)
class MixedView:
    """A view that a mixer makes. ``name`` and ``of`` are full names (``modality/slot``)."""

    name: str
    of: str
    mixer: BatchMixer


@dataclass(frozen=True)
class Mix:
    """Pairs of samples mixed as ``share * a + (1 - share) * b``, ``share`` ~ U(0, 1) for each (MixCo, Kim et al. 2020, eq. 2).

    The first half of the rows is mixed with the second, so that there are half as many; of an odd number the last is left out. A
    mixed view belongs to sample a; its columns are ``share``, ``other``, the id of sample b, and ``other_share``, 1 - share.

    Args:
        modality: whose views; they must collate to one tensor of floats.
        of: the slot that is mixed.
    """

    modality: str
    of: str

    def mix(self, views: ViewBatch, sample: Tensor, generator: torch.Generator) -> ViewBatch:
        """See the protocol. Raises ``ConfigError`` for data that can't be added up."""
        data = views.data
        if not isinstance(data, Tensor) or not data.is_floating_point():
            what = str(data.dtype).removeprefix("torch.") if isinstance(data, Tensor) else type(data).__name__
            raise ConfigError(f"mix adds up tensors of floats, but views of {self.modality} collate to {what}")
        half = len(views) // 2
        a, b = slice(0, half), slice(half, 2 * half)
        drawn = torch.rand(half, generator=generator, device=data.device, dtype=torch.float64)
        share = drawn.to(data.dtype).view(-1, *[1] * (data.ndim - 1))
        return ViewBatch(
            share * data[a] + (1 - share) * data[b],
            views.modality,
            views.index[a],
            {"share": drawn, "other": sample[views.index[b]], "other_share": 1 - drawn},
        )
