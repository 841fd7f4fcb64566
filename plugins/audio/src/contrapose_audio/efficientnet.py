"""EfficientNets on spectrograms, as COLA has them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from torch import Tensor, nn

from contrapose.errors import ConfigError, did_you_mean
from contrapose_audio.arguments import Count
from contrapose_audio.encoders import require_log_mel


class EfficientNet(nn.Module):
    """torchvision's EfficientNet (Tan & Le 2019) on a log-mel, pooled over frequency and time.

    COLA (Saeed et al., ICASSP 2021) has B0 and the maximum over both. ``dense`` is pooled over frequency alone: a row for each
    place in time.

    Args:
        name: torchvision's, "efficientnet_b0" to "efficientnet_b7" or "efficientnet_v2_s", "_m", "_l"; weights are random.
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
        known = [model for model in models.list_models(module=models) if model.startswith("efficientnet")]
        if name not in known:
            raise ConfigError(f"torchvision has no {name!r}{did_you_mean(name, known)}", ("name",))
        net = models.get_model(name, weights=None)
        self.features, self.pool, self.channels = net.features, pool, channels
        rgb = self.features[0][0]
        first = nn.Conv2d(channels, rgb.out_channels, rgb.kernel_size, rgb.stride, rgb.padding, bias=False)
        nn.init.kaiming_normal_(first.weight, mode="fan_out")  # as torchvision begins
        self.features[0][0] = first
        width = net.classifier[1].in_features
        self.dims: Mapping[str, int] = {"pooled": width, "dense": width}

    def forward(self, data: Tensor) -> dict[str, Tensor]:
        """(n, C, mels, frames) to the taps. Raises ``ConfigError`` for waves."""
        require_log_mel(data, self.channels)
        places = self.features(data)
        if self.pool == "max":
            return {"pooled": places.amax(dim=(2, 3)), "dense": places.amax(dim=2).mT}
        return {"pooled": places.mean(dim=(2, 3)), "dense": places.mean(dim=2).mT}


def _library() -> Any:
    try:
        from torchvision import models
    except ModuleNotFoundError as error:
        if error.name is None or not error.name.startswith("torchvision"):
            raise
        raise ConfigError("needs torchvision: pip install 'contrapose-audio[torchvision]'") from None
    return models
