"""CPC's encoder of waveforms."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

from torch import Tensor, nn

from contrapose.errors import ConfigError
from contrapose_audio.arguments import Count
from contrapose_audio.mono import mono

LAYERS = ((10, 5, 3), (8, 4, 2), (4, 2, 1), (4, 2, 1), (4, 2, 1))
"""Width of the kernel, stride and padding of each convolution."""


class CPC(nn.Module):
    """Five strided convolutions of a waveform, a frame for each 160 samples (van den Oord et al. 2018, section 3.1).

    Each is normalised over its channels, place by place, as in ``CPCEncoder`` of CPC_audio (Riviere et al. 2020; there by the
    unbiased variance). ``dense`` are the frames in the order of time, none of which sees beyond 465 samples, and ``pooled`` is
    their mean.

    Args:
        width: channels of each convolution.
    """

    modality = "audio"

    def __init__(self, width: Count = 256) -> None:
        super().__init__()
        sizes = pairwise([1, *[width] * len(LAYERS)])
        self.layers = nn.ModuleList(nn.Conv1d(i, o, *shape) for (i, o), shape in zip(sizes, LAYERS, strict=True))
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in LAYERS)
        self.dims: Mapping[str, int] = {"pooled": width, "dense": width}

    def forward(self, data: Tensor) -> dict[str, Tensor]:
        """(n, 1, samples) to the taps. Raises ``ConfigError`` for fewer than 160 samples."""
        wave = mono(data)
        if wave.shape[1] < 160:
            raise ConfigError(f"a clip of {wave.shape[1]} samples makes no frame: 160 do")
        x = wave[:, None]
        for layer, norm in zip(self.layers, self.norms, strict=True):
            x = norm(layer(x).mT).mT.relu()
        return {"pooled": x.mean(dim=2), "dense": x.mT}
