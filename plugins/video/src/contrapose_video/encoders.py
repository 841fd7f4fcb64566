"""Encoders of clips: float (n, 3, T, H, W) in [0, 1] to ``pooled`` (n, D) and ``dense`` (n, P, D), a row a place, time by time.

``dense`` begins with the places of the first moment, row by row, then those of the second: P = T' H' W'.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from contrapose.config import build
from contrapose.errors import ConfigError
from contrapose_video.arguments import Count

KINETICS_MEAN, KINETICS_STD = (0.43216, 0.394666, 0.37645), (0.22803, 0.22145, 0.216989)
"""Of torchvision's video models."""


class Normalise(nn.Module):
    """(x - mean) / std by channel; both are saved with the weights that were trained under them."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: tuple[float, ...] = KINETICS_MEAN, std: tuple[float, ...] = KINETICS_STD) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(-1, 1, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(-1, 1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """(n, 3, T, H, W) to the same."""
        return (x - self.mean) / self.std


class Small(nn.Module):
    """Four (2+1)D convolutions: 3 x 3 of stride 2 in space, then 3 in time, each with BatchNorm and ReLU. For a CPU.

    Meant for 8 to 16 frames of 32 to 96 pixels; the last two stages halve the time too. ``pooled`` and ``dense`` are 8 ``width``
    wide. After Tran et al., A closer look at spatiotemporal convolutions, CVPR 2018.

    Args:
        width: channels of the first convolution; they double with each.
    """

    modality = "video"

    def __init__(self, width: Count = 16) -> None:
        super().__init__()
        self.normalise = Normalise()
        sizes = [3, width, 2 * width, 4 * width, 8 * width]
        self.stages = nn.Sequential(*(_stage(i, o, 1 + (n >= 2)) for n, (i, o) in enumerate(pairwise(sizes))))
        self.dims: Mapping[str, int] = {"pooled": 8 * width, "dense": 8 * width}

    def features(self, data: Tensor) -> Tensor:
        """(n, 3, T, H, W) in [0, 1] to the last feature map (n, D, T', H', W')."""
        made: Tensor = self.stages(self.normalise(data))
        return made

    def forward(self, data: Tensor) -> dict[str, Tensor]:
        """(n, 3, T, H, W) in [0, 1] to the taps."""
        return taps(self.features(data))


class Blocks(nn.Module):
    """Another encoder on ``blocks`` consecutive parts of a clip, each on its own, so that none sees into the next (DPC, CPC).

    ``dense`` has the places of the first block, then those of the second, each the mean over the block's time; ``steps`` one row
    a block, ``pooled`` the mean of all.

    Args:
        encoder: of clips, whose feature map is what becomes of a block.
        blocks: how many; a clip's frames must be a multiple of it. 8 blocks of 5 frames in DPC (Han et al., 2019).
    """

    modality = "video"

    def __init__(self, encoder: Any = "video/small", blocks: Count = 8) -> None:
        super().__init__()
        self.encoder = build("encoder", encoder, ("encoder",))
        self.blocks = blocks
        if not hasattr(self.encoder, "features"):
            raise ConfigError(f"expected an encoder of clips with a feature map, not {encoder!r}", ("encoder",))
        width = self.encoder.dims["dense"]
        self.dims: Mapping[str, int] = {"pooled": width, "dense": width, "steps": width}

    def forward(self, data: Tensor) -> dict[str, Tensor]:
        """(n, 3, T, H, W) in [0, 1] to the taps. Raises ``ConfigError`` where T is no multiple of ``blocks``."""
        frames = data.shape[2]
        if frames % self.blocks:
            raise ConfigError(f"{frames} frames aren't {self.blocks} blocks of equal length: change blocks or frames")
        parts = data.unflatten(2, (self.blocks, -1)).transpose(1, 2).flatten(0, 1)
        places = self.encoder.features(parts).mean(dim=2).flatten(2).mT  # ((n b), P, D)
        dense = places.unflatten(0, (-1, self.blocks))
        steps = dense.mean(dim=2)
        return {"pooled": steps.mean(dim=1), "dense": dense.flatten(1, 2), "steps": steps}


def taps(features: Tensor) -> dict[str, Tensor]:
    """The last feature map (n, D, T', H', W') as ``pooled`` and ``dense``."""
    dense = features.flatten(2).mT
    return {"pooled": dense.mean(dim=1), "dense": dense}


def _stage(inputs: int, outputs: int, slower: int) -> nn.Module:
    space = nn.Conv3d(inputs, outputs, (1, 3, 3), stride=(1, 2, 2), padding=(0, 1, 1), bias=False)
    time = nn.Conv3d(outputs, outputs, (3, 1, 1), stride=(slower, 1, 1), padding=(1, 0, 0), bias=False)
    for convolution in (space, time):
        nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")
    norms = nn.BatchNorm3d(outputs), nn.BatchNorm3d(outputs)
    return nn.Sequential(space, norms[0], nn.ReLU(inplace=True), time, norms[1], nn.ReLU(inplace=True))
