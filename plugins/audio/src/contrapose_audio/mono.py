"""What encoders of one channel read."""

from __future__ import annotations

from torch import Tensor

from contrapose.errors import ConfigError


def mono(data: Tensor) -> Tensor:
    """Waves (n, 1, samples) as (n, samples). Raises ``ConfigError`` for log-mels, and for several channels."""
    if data.ndim != 3:
        raise ConfigError(
            f"expected waves (n, 1, samples), not {tuple(data.shape)}: leave audio/log-mel out of the views"
        )
    if data.shape[1] != 1:
        raise ConfigError(f"this encoder reads one channel, not {data.shape[1]}: give modalities.audio channels: 1")
    return data[:, 0]
