"""BYOL-A's network."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from contrapose.errors import ConfigError
from contrapose_audio.arguments import Count
from contrapose_audio.encoders import require_log_mel


class ByolA(nn.Module):
    """Convolutions of a log-mel, an MLP on each place in time, and the sum of their maximum and mean over time.

    As it stands it is that of BYOL-A v2 (Niizumi et al., TASLP 2023; ``AudioNTT2022`` of the authors' code), which puts what
    the MLP reads before what it gives. ``{width: 2048, layers: 3, stack: false}`` is the first version's (Niizumi et al., IJCNN
    2021; ``AudioNTT2020``). ``dense`` are the places in time before they are summed up.

    Args:
        mels: bands of the log-mel, halved by each layer.
        width: of the result.
        hidden: width of the MLP's hidden layer.
        layers: convolutions, each with BatchNorm, ReLU and a maximum over 2 x 2.
        maps: channels of each.
        stack: whether the result holds what the MLP reads.
        channels: of the sound; the modality says it.
    """

    modality = "audio"

    def __init__(
        self,
        mels: Count = 64,
        width: Count = 3072,
        hidden: Count = 2048,
        layers: Count = 2,
        maps: Count = 64,
        stack: bool = True,
        channels: Count = 1,
    ) -> None:
        super().__init__()
        read = maps * (mels // 2**layers)
        made = width - read if stack else width
        if not read:
            raise ConfigError(f"{mels} bands can't be halved {layers} times", ("layers",))
        if made < 1:
            raise ConfigError(f"a width of {width} must be more than the {read} that the MLP reads", ("width",))
        self.mels, self.channels, self.stack, self.fewest = mels, channels, stack, 2**layers
        self.features = nn.Sequential(*(_layer(maps if n else channels, maps) for n in range(layers)))
        self.fc = nn.Sequential(nn.Linear(read, hidden), nn.ReLU(), nn.Dropout(0.3), nn.Linear(hidden, made), nn.ReLU())
        self.dims: Mapping[str, int] = {"pooled": width, "dense": width}

    def forward(self, data: Tensor) -> dict[str, Tensor]:
        """(n, C, mels, frames) to the taps. Raises ``ConfigError`` for waves, other bands, and too few frames."""
        require_log_mel(data, self.channels, self.mels)
        if data.shape[3] < self.fewest:
            raise ConfigError(f"{data.shape[3]} frames are too few, it needs {self.fewest}: take longer parts")
        places = self.features(data).permute(0, 3, 2, 1).flatten(2)  # (n, time, frequency x channels)
        made = self.fc(places)
        dense = torch.cat([places, made], dim=2) if self.stack else made
        return {"pooled": dense.amax(dim=1) + dense.mean(dim=1), "dense": dense}


def _layer(inputs: int, outputs: int) -> nn.Module:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU(), nn.MaxPool2d(2))
