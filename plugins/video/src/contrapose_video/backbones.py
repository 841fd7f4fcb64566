"""The video networks of torchvision as encoders, by name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast
from urllib.error import URLError

import torch
from torch import Tensor, nn
from torchvision.models import get_model, get_model_weights, get_weight, list_models, video

from contrapose.errors import ConfigError, did_you_mean
from contrapose_video.encoders import Normalise, taps

MVIT = (16, 224, 224)
"""Frames, height and width that an MViT's positions are learnt for: torchvision builds no other."""


class Torchvision(nn.Module):
    """A network of ``torchvision.models.video`` without its classifier; ``pooled`` is the mean of ``dense``, its last feature map.

    r3d_18, mc3_18, r2plus1d_18, s3d (14 frames at least) and swin3d_t, _s and _b read clips of any length and size; mvit_v1_b and
    mvit_v2_s read 16 frames of 224 x 224 alone, and ``pooled`` is their class token. Each normalises as its weights want it.

    Args:
        name: torchvision's, such as "r2plus1d_18".
        weights: a name of torchvision ("KINETICS400_V1"), fetched once, or the path of a .safetensors or torch file.

    Raises ``ConfigError`` for an unknown name, and weights that don't fit.
    """

    modality = "video"

    def __init__(self, name: str, weights: str | None = None) -> None:
        super().__init__()
        known = list_models(module=video)
        if name not in known:
            raise ConfigError(f"torchvision has no video network {name!r}{did_you_mean(name, known)}", ("name",))
        net: Any = get_model(name)
        width, gone = _headless(net)
        if weights is not None:
            _load(net, name, weights, gone)
        half = (
            ((0.45,) * 3, (0.225,) * 3) if name.startswith("mvit") else ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
        )
        self.normalise = Normalise(*half) if name.startswith(("mvit", "swin3d")) else Normalise()
        self.net = net
        self.dims: Mapping[str, int] = {"pooled": width, "dense": width}

    def features(self, data: Tensor) -> Tensor:
        """(n, 3, T, H, W) in [0, 1] to the last feature map (n, D, T', H', W')."""
        x = self.normalise(data)
        if isinstance(self.net, video.SwinTransformer3d):
            x = self.net.norm(self.net.features(self.net.pos_drop(self.net.patch_embed(x))))
            return cast(Tensor, x.permute(0, 4, 1, 2, 3))
        if isinstance(self.net, video.MViT):
            tokens, thw = self._tokens(x)
            return tokens[:, 1:].mT.unflatten(-1, thw)
        if isinstance(self.net, video.S3D):
            if data.shape[2] < 14:
                raise ConfigError(f"s3d reads clips of 14 frames at least, not of {data.shape[2]}", ("frames",))
            return cast(Tensor, self.net.features(x))
        for part in (self.net.stem, self.net.layer1, self.net.layer2, self.net.layer3, self.net.layer4):
            x = part(x)
        return x

    def forward(self, data: Tensor) -> dict[str, Tensor]:
        """(n, 3, T, H, W) in [0, 1] to the taps. Raises ``ConfigError`` for clips that an MViT doesn't read."""
        if isinstance(self.net, video.MViT):
            tokens, _ = self._tokens(self.normalise(data))
            return {"pooled": tokens[:, 0], "dense": tokens[:, 1:]}
        return taps(self.features(data))

    def _tokens(self, x: Tensor) -> tuple[Tensor, tuple[int, int, int]]:
        """As its forward pass until the classifier; the class token first."""
        if tuple(x.shape[2:]) != MVIT:
            t, h, w = x.shape[2:]
            raise ConfigError(f"an MViT reads 16 frames of 224 x 224, not {t} of {w} x {h}", ("name",))
        if not len(
            x
        ):  # its attention takes no empty batch; a clip that is thrown away leaves each parameter a gradient
            tokens, thw = self._tokens(x.new_zeros(1, *x.shape[1:]))
            return tokens[:0], thw
        tokens = self.net.pos_encoding(self.net.conv_proj(x).flatten(2).mT)
        thw = (self.net.pos_encoding.temporal_size, *self.net.pos_encoding.spatial_size)
        for block in self.net.blocks:
            tokens, thw = block(tokens, thw)
        return self.net.norm(tokens), thw


def _headless(net: Any) -> tuple[int, str]:
    """Take the classifier away: the width of what it read, and its name."""
    name = next(n for n in ("fc", "head", "classifier") if hasattr(net, n))
    head = getattr(net, name)
    layers = [m for m in head.modules() if isinstance(m, nn.Linear | nn.Conv3d)]
    width = layers[0].in_channels if isinstance(layers[0], nn.Conv3d) else layers[0].in_features
    setattr(net, name, nn.Identity())
    return int(width), name


def _load(net: nn.Module, architecture: str, weights: str, gone: str) -> None:
    path = Path(weights)
    state = from_file(path) if path.suffix or "/" in weights or path.exists() else _by_name(architecture, weights)
    state = {name: value for name, value in state.items() if not name.startswith(f"{gone}.")}
    try:
        net.load_state_dict(state)
    except (RuntimeError, TypeError, AttributeError, ValueError) as error:
        lines = [" ".join(line.split()) for line in str(error).splitlines()]
        raise ConfigError(f"{weights} doesn't fit {architecture}: {lines[-1]}", ("weights",)) from error


def from_file(path: Path) -> dict[str, Any]:
    """The tensors of a file, of which nothing else is unpickled."""
    if not path.is_file():
        raise ConfigError(f"there is no file {path}", ("weights",))
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return dict(load_file(path))
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        return dict(state.get("state_dict", state))
    except Exception as error:  # torch and safetensors raise a dozen kinds for a broken file
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ConfigError(f"{path} holds no weights that can be read safely: {reason}", ("weights",)) from error


def _by_name(architecture: str, name: str) -> dict[str, Any]:
    known = get_model_weights(architecture).__members__
    if name != "DEFAULT" and name not in known:
        raise ConfigError(f"{architecture} has no weights {name!r}{did_you_mean(name, known)}", ("weights",))
    chosen = get_weight(f"{get_model_weights(architecture).__name__}.{name}")
    try:
        return cast(dict[str, Any], chosen.get_state_dict(progress=False, check_hash=True))
    except (URLError, OSError, RuntimeError) as error:
        raise ConfigError(
            f"{name} of {architecture} can't be fetched ({error}); offline, give the path of a file", ("weights",)
        ) from error
