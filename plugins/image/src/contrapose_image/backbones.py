"""The classifiers of torchvision as encoders, by name."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torchvision import models

from contrapose.errors import ConfigError, did_you_mean
from contrapose_image.encoders import Normalise, ResNet, Size, Stem, ViT
from contrapose_image.weights import load_weights

ENDS = ("avgpool", "classifier", "fc")
"""Where a classifier's own children begin; all before them run one after the other."""
RESNETS = ("resnet", "resnext", "wide_resnet")
UNLIKE = {
    "googlenet": "its auxiliary classifiers have no place here",
    "inception_v3": "its auxiliary classifiers have no place here",
    "maxvit_t": "it reads pictures of one size only",
}
"""Classifiers that can't be used, and why."""


def torchvision(
    name: str, stem: Stem = "imagenet", size: Size | None = None, weights: str | None = None
) -> ResNet | ViT | Trunk:
    """A classifier of ``torchvision.models`` without its head: ResNeXt, ConvNeXt, Swin, EfficientNet, RegNet, ViT, ...

    ``dense`` is the last feature map, a row a place, and ``pooled`` its mean; of a ViT the patches and the class token. ResNets
    have the tap ``layer3`` too, and start with blocks that are the identity, as ``image/resnet50`` does.

    Args:
        name: torchvision's, such as "convnext_tiny".
        stem: "cifar", for images of 32 to 64 pixels, is for ResNets: a 3 x 3 convolution of stride 1 and no pooling.
        size: of a ViT, side of the images that positions are learnt for, by default 224; others are interpolated to.
        weights: a name of torchvision ("IMAGENET1K_V1"), fetched once, or the path of a file.

    Raises ``ConfigError`` for an unknown name, an argument that isn't for that model, and weights that don't fit.
    """
    known = models.list_models(module=models)
    if name not in known:
        raise ConfigError(f"torchvision has no classifier {name!r}{did_you_mean(name, known)}", ("name",))
    if name in UNLIKE:
        raise ConfigError(f"torchvision's {name} can't be an encoder: {UNLIKE[name]}", ("name",))
    if stem != "imagenet" and not name.startswith(RESNETS):
        raise ConfigError(f"{name} has one stem; {stem!r} is for ResNets", ("stem",))
    if size is not None and not name.startswith("vit_"):
        raise ConfigError(f"{name} reads images of any size; leave it out", ("size",))
    if name.startswith(RESNETS):
        return ResNet(name, stem, zero_init=True, weights=weights)
    return _vit(name, size or 224, weights) if name.startswith("vit_") else Trunk(name, weights)


class Trunk(nn.Module):
    """A torchvision classifier up to its last feature map; ``net`` is the torchvision module, its last children identities."""

    modality = "image"

    def __init__(self, architecture: str, weights: str | None) -> None:
        super().__init__()
        self.normalise = Normalise()
        self.net = models.get_model(architecture)
        children = [name for name, _ in self.net.named_children()]
        end = next(i for i, name in enumerate(children) if name in ENDS)
        self.trunk, gone = children[:end], children[end:]
        for name in gone + ["head"] * hasattr(self.net, "head"):
            setattr(self.net, name, nn.Identity())
        if weights is not None:
            load_weights(self.net, architecture, weights, (*gone, "head"))
        with torch.no_grad():
            width = self.eval()(torch.zeros(1, 3, 64, 64))["pooled"].shape[1]
        self.train()
        self.dims: Mapping[str, int] = {"pooled": width, "dense": width}

    def forward(self, data: Tensor) -> dict[str, Tensor]:
        """(n, 3, H, W) in [0, 1] to the taps; ``dense`` has the places of the last feature map, row by row."""
        x = self.normalise(data)
        for name in self.trunk:
            x = getattr(self.net, name)(x)
        if isinstance(self.net, models.DenseNet):  # a function there
            x = x.relu()
        dense = x.flatten(2).mT
        return {"pooled": dense.mean(dim=1), "dense": dense}


def _vit(name: str, size: int, weights: str | None) -> ViT:
    net = models.get_model(name)
    if size != net.image_size:
        patch = net.patch_size
        net = models.get_model(name, image_size=size // patch * patch)
    encoder = ViT(net)
    if weights is not None:
        load_weights(net, name, weights, ("heads",))
    return encoder
