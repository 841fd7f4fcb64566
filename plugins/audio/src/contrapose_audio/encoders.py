"""Encoders of log-mels: float (n, C, mels, frames) to ``pooled`` (n, D) and ``dense`` (n, P, D), a row a stretch of time."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

from torch import Tensor, nn

from contrapose.errors import ConfigError
from contrapose_audio.arguments import Count


class Small(nn.Module):
    """Four 3 x 3 convolutions on a log-mel, each with BatchNorm, ReLU and a mean over 2 x 2. For a CPU.

    The log-mel is standardised band by band by a BatchNorm first. ``dense`` has a row for every 16 frames, the mean over the
    bands; ``pooled`` is the sum of its mean and its maximum over time. Both are 8 ``width`` wide. A small one of the kind of PANNs'
    CNNs (Kong et al., IEEE/ACM TASLP 2020).

    Args:
        width: channels of the first convolution; they double with each.
        mels: bands of the log-mel.
        channels: of the sound; the modality says it.
    """

    modality = "audio"

    def __init__(self, width: Count = 16, mels: Count = 64, channels: Count = 1) -> None:
        super().__init__()
        self.mels, self.channels = mels, channels
        self.standardise = nn.BatchNorm1d(channels * mels)
        sizes = [channels, width, 2 * width, 4 * width, 8 * width]
        self.stages = nn.Sequential(*(_stage(i, o) for i, o in pairwise(sizes)))
        self.dims: Mapping[str, int] = {"pooled": 8 * width, "dense": 8 * width}

    def forward(self, data: Tensor) -> dict[str, Tensor]:
        """(n, C, mels, frames) to the taps. Raises ``ConfigError`` for waves, and for other bands than it was made for."""
        require_log_mel(data, self.channels, self.mels)
        standard = self.standardise(data.flatten(1, 2)).view_as(data)
        dense = self.stages(standard).mean(dim=2).mT
        return {"pooled": dense.mean(dim=1) + dense.amax(dim=1), "dense": dense}


def require_log_mel(data: Tensor, channels: int | None = None, mels: int | None = None) -> None:
    """Raise ``ConfigError`` unless the data are log-mels, of so many channels and bands."""
    if data.ndim != 4:
        raise ConfigError(
            f"expected log-mels (n, C, mels, frames), not {tuple(data.shape)}: end the views of audio with audio/log-mel"
        )
    found = tuple(data.shape[1:3])
    if (channels or found[0], mels or found[1]) != found:
        raise ConfigError(
            f"this encoder is for {channels} channels of {mels} mel bands, but the views have {found[0]} of {found[1]}: "
            f"give it mels: {found[1]}, channels: {found[0]}"
        )


def _stage(inputs: int, outputs: int) -> nn.Module:
    convolution = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
    nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")
    pool = nn.AvgPool2d(2, ceil_mode=True)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True), pool)
