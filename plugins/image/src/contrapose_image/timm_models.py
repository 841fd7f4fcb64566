"""The models of timm (Wightman, 2019) as encoders, by name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from contrapose.errors import ConfigError, did_you_mean
from contrapose_image.encoders import Normalise, Size
from contrapose_image.weights import fit_weights, from_file


class Timm(nn.Module):
    """A model of timm without its classifier: ``pooled`` is what the classifier would read, ``dense`` the places before pooling.

    It normalises by the mean and deviation that timm tells for the model.

    Args:
        name: timm's name of an architecture, such as "convnext_atto" or "vit_small_patch16_224", without a tag of weights.
        size: side of the images, for models that are built for one, as most transformers are; by default their own.
        weights: path of a .safetensors or torch file. Nothing is fetched.

    Raises ``ConfigError`` where timm isn't installed, for an unknown name, a size that the model can't have, weights that don't
    fit, and the few models that give no such taps.
    """

    modality = "image"

    def __init__(self, name: str, size: Size | None = None, weights: str | None = None) -> None:
        super().__init__()
        timm = _library()
        known = timm.list_models()
        if name not in known:
            raise ConfigError(f"timm has no model {name!r}{did_you_mean(name, known)}", ("name",))
        try:
            self.net: Any = timm.create_model(
                name, pretrained=False, num_classes=0, **({"img_size": size} if size else {})
            )
        except Exception as error:  # of a thousand models, each refuses in its own way
            raise ConfigError(f"timm's {name} can't be built so: {' '.join(str(error).split())}") from error
        told = self.net.pretrained_cfg
        self.normalise = Normalise(tuple(told["mean"]), tuple(told["std"]))
        if weights is not None:
            gone = told.get("classifier") or ()
            fit_weights(
                self.net, name, from_file(Path(weights)), weights, (gone,) if isinstance(gone, str) else tuple(gone)
            )
        side = size or told["input_size"][-1]
        try:
            with torch.no_grad():
                taps = self.eval()(torch.zeros(1, 3, side, side))
        except Exception as error:
            raise ConfigError(f"timm's {name} gives no taps: {' '.join(str(error).split())}", ("name",)) from error
        self.train()
        self.dims: Mapping[str, int] = {tap: values.shape[-1] for tap, values in taps.items()}

    def forward(self, data: Tensor) -> dict[str, Tensor]:
        """(n, 3, H, W) in [0, 1] to the taps; ``dense`` has no class or register token."""
        if not len(data):  # some reshape by -1, which no rows leave undecided
            training = self.training
            taps = self.eval()(data.new_zeros(1, *data.shape[1:]))
            self.train(training)
            return {name: tap[:0] for name, tap in taps.items()}
        found = self.net.forward_features(self.normalise(data))
        pooled = self.net.forward_head(found, pre_logits=True)
        if found.ndim == 3:
            dense = found[:, getattr(self.net, "num_prefix_tokens", 0) :]
        elif getattr(self.net, "output_fmt", "NCHW") == "NHWC":
            dense = found.flatten(1, 2)
        else:
            dense = found.flatten(2).mT
        return {"pooled": pooled, "dense": dense}


def _library() -> Any:
    try:
        import timm
    except ModuleNotFoundError as error:
        if error.name is None or not error.name.startswith("timm"):
            raise
        raise ConfigError("needs timm: pip install 'contrapose-image[timm]'") from None
    return timm
