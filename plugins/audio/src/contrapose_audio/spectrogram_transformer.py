"""The audio spectrogram transformer as transformers has it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from contrapose.errors import ConfigError
from contrapose_audio.encoders import require_log_mel
from contrapose_audio.pretrained import network


class AST(nn.Module):
    """A vision transformer on overlapping patches of a log-mel (Gong et al., Interspeech 2021).

    ``pooled`` is the mean of its class and distillation tokens, ``dense`` has a row for each place in time: the mean over its
    patches of all frequencies. The authors give it log-mels of mean 0 and deviation 0.5.

    Args:
        config: what transformers' ``ASTConfig`` takes; what it leaves out is as in AST-base, which reads 1024 frames
            (``max_length``) of 128 bands (``num_mel_bins``). For a CPU: ``{num_mel_bins: 64, max_length: 96, hidden_size: 64,
            num_hidden_layers: 2, num_attention_heads: 4, intermediate_size: 128}``.
        path: a folder with a network that transformers saved, in place of ``config``.
    """

    modality = "audio"

    def __init__(self, config: dict[str, Any] | None = None, path: str | None = None) -> None:
        super().__init__()
        self.net = network("AST", config, path)
        made = self.net.config
        self.shape = (made.num_mel_bins, made.max_length)
        self.bins = self.net.embeddings.get_shape(made)[0]
        self.dims: Mapping[str, int] = {"pooled": made.hidden_size, "dense": made.hidden_size}

    def forward(self, data: Tensor) -> dict[str, Tensor]:
        """(n, 1, mels, frames) to the taps. Raises ``ConfigError`` for other numbers of these than it has positions for."""
        require_log_mel(data, channels=1)
        if tuple(data.shape[2:]) != self.shape:
            read, given = (f"{mels} mel bands of {frames} frames" for mels, frames in (self.shape, data.shape[2:]))
            raise ConfigError(
                f"reads {read}, not {given}: set num_mel_bins and max_length, or the views' sizes", ("config",)
            )
        if not len(data):
            return {tap: values[:0] for tap, values in self(data.new_zeros(1, 1, *self.shape)).items()}
        made = self.net(data[:, 0].mT)
        places = made.last_hidden_state[:, 2:].unflatten(1, (self.bins, -1))
        return {"pooled": made.pooler_output, "dense": places.mean(dim=1)}
