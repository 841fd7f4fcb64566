"""The image networks of torchvision as encoders of log-mels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from torch import Tensor, nn

from contrapose.errors import ConfigError, did_you_mean
from contrapose_audio.arguments import Count
from contrapose_audio.encoders import require_log_mel

FAMILIES = ("efficientnet", "resnet", "resnext", "wide_resnet")


class Torchvision(nn.Module):
    """An EfficientNet or a ResNet of torchvision on a log-mel, with random weights, pooled over frequency and time.

    COLA (Saeed et al., ICASSP 2021) has EfficientNet-B0 (Tan & Le 2019) and the maximum over both. ``dense`` is pooled over
    frequency alone: a row for each place in time.

    Args:
        name: torchvision's, such as "efficientnet_b0" or "resnet18".
        pool: "max" or "mean".
        channels: of the sound; the modality says it.

    Raises ``ConfigError`` where torchvision isn't installed, and for an unknown name.
    """

    modality = "audio"

    def __init__(
        self, name: str = "efficientnet_b0", pool: Literal["max", "mean"] = "max", channels: Count = 1
    ) -> None:
        super().__init__()
        models = _library()
        known = [model for model in models.list_models(module=models) if model.startswith(FAMILIES)]
        if name not in known:
            raise ConfigError(
                f"torchvision has no EfficientNet or ResNet {name!r}{did_you_mean(name, known)}", ("name",)
            )
        net = models.get_model(name, weights=None)
        parts = dict(net.named_children())
        last = parts.pop("fc", None) or parts.pop("classifier")[-1]
        parts.pop("avgpool")
        self.features = nn.Sequential(*parts.values())
        self.pool, self.channels = pool, channels
        _read(self.features, channels)
        self.dims: Mapping[str, int] = {"pooled": last.in_features, "dense": last.in_features}

    def forward(self, data: Tensor) -> dict[str, Tensor]:
        """(n, C, mels, frames) to the taps. Raises ``ConfigError`` for waves."""
        require_log_mel(data, self.channels)
        places = self.features(data)
        if self.pool == "max":
            return {"pooled": places.amax(dim=(2, 3)), "dense": places.amax(dim=2).mT}
        return {"pooled": places.mean(dim=(2, 3)), "dense": places.mean(dim=2).mT}


def _read(net: nn.Module, channels: int) -> None:
    """Let the first convolution read so many channels in place of three."""
    where = next(name for name, module in net.named_modules() if isinstance(module, nn.Conv2d))
    rgb: Any = net.get_submodule(where)
    first = nn.Conv2d(channels, rgb.out_channels, rgb.kernel_size, rgb.stride, rgb.padding, bias=False)
    nn.init.kaiming_normal_(first.weight, mode="fan_out", nonlinearity="relu")  # as torchvision begins
    above, _, name = where.rpartition(".")
    setattr(net.get_submodule(above), name, first)


def _library() -> Any:
    try:
        from torchvision import models
    except ModuleNotFoundError as error:
        if error.name is None or not error.name.startswith("torchvision"):
            raise
        raise ConfigError("needs torchvision: pip install 'contrapose-audio[torchvision]'") from None
    return models
