"""wav2vec 2.0 as transformers has it: a waveform to its frames, and masked frames to what they are predicted to be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from contrapose.errors import ConfigError
from contrapose_audio.arguments import Count
from contrapose_audio.masks import spans
from contrapose_audio.mono import mono
from contrapose_audio.pretrained import network

Rate = Annotated[float, Field(ge=0, lt=1)]
Share = Annotated[float, Field(gt=0, le=1)]


class Wav2Vec2(nn.Module):
    """Convolutions make a frame of each 20 ms of a waveform of 16 kHz, a transformer sees them all (Baevski et al. 2020,
    section 2).

    ``dense`` are the frames after the transformer, in the order of time, ``pooled`` is their mean. Where frames are to be masked
    (``mask``), there are two taps more: ``masked``, the masked frames after the transformer, and ``targets``, those same frames
    before it and unmasked, normalised (wav2vec 2.0 quantises them). In eval mode nothing is masked and both are all frames, so a
    validation loss isn't that of the training. A layer is never dropped, since its parameters would be without a gradient.

    Args:
        config: what transformers' ``Wav2Vec2Config`` takes; what it leaves out is as in wav2vec 2.0 base. For a CPU:
            ``{hidden_size: 64, num_hidden_layers: 2, num_attention_heads: 4, intermediate_size: 128, conv_dim: [64, 64, 64, 64,
            64, 64, 64], num_conv_pos_embeddings: 16, num_conv_pos_embedding_groups: 4}``.
        path: a folder with a network that transformers saved, in place of ``config``.
        mask: share of all frames at which masked spans begin: 0.065 in the paper.
        span: length of these in frames: 10 in the paper.
        feature_gradient: the share of the gradient that reaches the convolutions: 0.1 in the paper.
    """

    modality = "audio"

    def __init__(
        self,
        config: dict[str, Any] | None = None,
        path: str | None = None,
        mask: Rate = 0.0,
        span: Count = 10,
        feature_gradient: Share = 1.0,
    ) -> None:
        super().__init__()
        net = network("Wav2Vec2", config, path)
        net.config.layerdrop = 0.0
        positions = net.encoder.pos_conv_embed
        positions.conv = WeightNormed(positions.conv)
        self.convolutions, self.projection, self.context = net.feature_extractor, net.feature_projection, net.encoder
        self.mask, self.span, self.feature_gradient = mask, span, feature_gradient
        width, local = net.config.hidden_size, net.config.conv_dim[-1]
        self.dims: Mapping[str, int] = {"pooled": width, "dense": width}
        if mask:
            known = getattr(net, "masked_spec_embed", None)
            self.blank = nn.Parameter(torch.rand(width)) if known is None else known
            self.drop = nn.Dropout(net.config.feat_quantizer_dropout)
            self.dims |= {"masked": width, "targets": local}
        kernels, strides = net.config.conv_kernel, net.config.conv_stride
        self.shortest = 1
        for kernel, stride in zip(reversed(kernels), reversed(strides), strict=True):
            self.shortest = (self.shortest - 1) * stride + kernel

    def forward(self, data: Tensor) -> dict[str, Tensor]:
        """(n, 1, samples) to the taps. Raises ``ConfigError`` for a clip too short for a frame, or for a span."""
        wave = mono(data)
        if wave.shape[1] < self.shortest:
            raise ConfigError(f"a clip of {wave.shape[1]} samples makes no frame: {self.shortest} do")
        if not len(wave):
            return {tap: values[:0] for tap, values in self(data.new_zeros(1, *data.shape[1:])).items()}
        found = self.convolutions(wave).mT
        if self.feature_gradient != 1:
            found = found * self.feature_gradient + found.detach() * (1 - self.feature_gradient)
        frames, normed = self.projection(found)
        if not (self.mask and self.training):
            dense = self.context(frames).last_hidden_state
            more = {"masked": dense, "targets": normed} if self.mask else {}
            return {"pooled": dense.mean(dim=1), "dense": dense, **more}
        at = spans(len(data), frames.shape[1], self.mask, self.span, data.device)
        hidden = torch.zeros(frames.shape[:2], dtype=torch.bool, device=data.device).scatter_(1, at, True)
        dense = self.context(torch.where(hidden[..., None], self.blank.to(frames.dtype), frames)).last_hidden_state
        row = torch.arange(len(data), device=data.device)[:, None]
        more = {"masked": dense[row, at], "targets": self.drop(normed[row, at])}
        return {"pooled": dense.mean(dim=1), "dense": dense, **more}


class WeightNormed(nn.Conv1d):
    """A convolution whose weight has, at each place of its kernel, a direction and a length (Salimans & Kingma 2016).

    torch's own, a parametrisation, can't be pickled.
    """

    def __init__(self, like: Any) -> None:
        super().__init__(
            like.in_channels, like.out_channels, like.kernel_size, padding=like.padding, groups=like.groups
        )
        self.length = nn.Parameter(like.weight.detach().norm(dim=(0, 1), keepdim=True))
        self.load_state_dict({"weight": like.weight, "bias": like.bias, "length": self.length})

    def forward(self, x: Tensor) -> Tensor:
        """As a convolution."""
        weight = self.weight * (self.length / self.weight.norm(dim=(0, 1), keepdim=True))
        return F.conv1d(x, weight, self.bias, padding=self.padding, groups=self.groups)
