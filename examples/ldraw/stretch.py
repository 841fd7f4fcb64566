"""Two views that the parts' canonical poses allow, beside those of the plugin; ``contrapose train ... --plugin stretch.py``.

Each takes a cloud (N, 3 + C) and gives another; `batched` forms take (n, N, 3 + C) and a ``torch.Generator``.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from contrapose import view

Points = NDArray[np.floating]


def _stretched(clouds: Tensor, generator: torch.Generator, most: float = 1.5) -> Tensor:
    drawn = 2 * torch.rand(len(clouds), 1, 3, generator=generator, device=generator.device) - 1
    return torch.cat([clouds[..., :3] * most**drawn, clouds[..., 3:]], dim=-1)


@view("pointcloud", batched=_stretched)
def stretch(cloud: Points, rng: np.random.Generator, most: float = 1.5) -> Points:
    """Multiply each axis by its own factor, log-uniform in [1 / ``most``, ``most``]: bricks of 1 x 2 and 1 x 4 are both bricks."""
    return np.concatenate([cloud[:, :3] * most ** rng.uniform(-1, 1, 3), cloud[:, 3:]], axis=1).astype(np.float32)


def _mirrored(clouds: Tensor, generator: torch.Generator) -> Tensor:
    signs = torch.randint(2, (len(clouds), 1, 3), generator=generator, device=generator.device) * 2.0 - 1
    signs[..., 1] = 1
    return torch.cat([clouds[..., :3] * signs, clouds[..., 3:]], dim=-1)


@view("pointcloud", batched=_mirrored)
def mirror(cloud: Points, rng: np.random.Generator) -> Points:
    """Mirror left to right and front to back, each with probability 1/2 (y is up)."""
    return (cloud * np.array([rng.choice([-1, 1]), 1, rng.choice([-1, 1])] + [1] * (cloud.shape[1] - 3))).astype(
        np.float32
    )
