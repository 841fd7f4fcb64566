"""HTSAT as transformers has it, CLAP's encoder of sounds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from contrapose.errors import ConfigError
from contrapose_audio.encoders import require_log_mel
from contrapose_audio.pretrained import network


class HTSAT(nn.Module):
    """A Swin transformer on the log-mel, which is folded into a square (Chen et al., ICASSP 2022); LAION-CLAP's, without its
    fusion.

    ``dense`` has a row for each place in time, the mean over frequencies, and ``pooled`` is their mean. Fewer frames are
    stretched to those that the square holds: 1024 of 64 mel bands.

    Args:
        config: what transformers' ``ClapAudioConfig`` takes; what it leaves out is as in HTSAT-tiny. For a CPU and 1 s of 98
            frames: ``{spec_size: 128, window_size: 4, depths: [1, 1, 1], num_attention_heads: [2, 2, 2],
            patch_embeds_hidden_size: 16}``.
        path: a folder with a network that transformers saved, in place of ``config``.
    """

    modality = "audio"

    def __init__(self, config: dict[str, Any] | None = None, path: str | None = None) -> None:
        super().__init__()
        net = network("ClapAudio", config, path)
        if net.config.enable_fusion:
            raise ConfigError("CLAP's fusion of a long sound with its parts isn't supported", ("config",))
        self.net = net.audio_encoder
        self.mels, self.most = net.config.num_mel_bins, self.net.spec_size * self.net.freq_ratio
        self.dims: Mapping[str, int] = {"pooled": self.net.num_features, "dense": self.net.num_features}

    def forward(self, data: Tensor) -> dict[str, Tensor]:
        """(n, 1, mels, frames) to the taps. Raises ``ConfigError`` for other bands, and for more frames than it holds."""
        require_log_mel(data, 1, self.mels)
        if data.shape[3] > self.most:
            raise ConfigError(
                f"reads {self.most} frames at most, not {data.shape[3]}: cut shorter parts, or set spec_size"
            )
        if not len(data):
            return {tap: values[:0] for tap, values in self(data.new_zeros(1, *data.shape[1:])).items()}
        dense = self.net(data.mT).last_hidden_state.mean(dim=2).mT
        return {"pooled": dense.mean(dim=1), "dense": dense}
