"""Random numbers that are a pure function of their key, so that neither the rank nor the tile nor the batch changes them."""

from __future__ import annotations

import torch
from torch import Tensor

_GOLDEN = -7046029254386353131  # 0x9E3779B97F4A7C15 as int64
_MIX_1 = -4658895280553007687  # 0xBF58476D1CE4E5B9
_MIX_2 = -7723592293110705685  # 0x94D049BB133111EB


def _shift(x: Tensor, by: int) -> Tensor:
    return (x >> by) & ((1 << (64 - by)) - 1)  # a logical shift: torch's is arithmetic


def _mix(x: Tensor) -> Tensor:
    """SplitMix64's finaliser (Steele, Lea & Flood 2014), in int64 that wraps around."""
    x = x + _GOLDEN
    x = (x ^ _shift(x, 30)) * _MIX_1
    x = (x ^ _shift(x, 27)) * _MIX_2
    return x ^ _shift(x, 31)


def keyed_uniform(keys: Tensor | list[Tensor], count: int, *seeds: int) -> Tensor:
    """U[0, 1) float64 numbers (N, count) that depend on each row's int64 keys (N,), the seeds and the column alone."""
    columns = [keys] if isinstance(keys, Tensor) else keys
    state = torch.zeros_like(columns[0])
    for part in [*columns, *(torch.full_like(state, s) for s in seeds)]:
        state = _mix(state ^ part)
    counter = torch.arange(count, device=state.device, dtype=torch.int64)
    bits = _mix(_mix(state)[:, None] ^ counter[None])
    return _shift(bits, 11).to(torch.float64) * 2.0**-53
