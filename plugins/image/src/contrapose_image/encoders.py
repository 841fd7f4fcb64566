"""Encoders of images: float (n, 3, H, W) in [0, 1] to ``pooled`` (n, D), ``dense`` (n, P, D), one row a place, and more taps.

Each normalises by its own mean and deviation, kept as buffers beside its weights. Weights start at random unless given.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn
from torchvision import models

from contrapose_image.weights import load_weights

Stem = Literal["imagenet", "cifar"]
Size = Annotated[int, Field(ge=1)]

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def resnet18(stem: Stem = "imagenet", zero_init: bool = True, weights: str | None = None) -> ResNet:
    """ResNet-18 of torchvision without its classifier: ``pooled`` and ``dense`` 512, ``layer3`` 256.

    Args:
        stem: "cifar" begins with a 3 x 3 convolution of stride 1 and no pooling, for images of 32 to 64 pixels (SimCLR, B.9).
        zero_init: each block starts as the identity: its last BatchNorm's factor is 0.
        weights: a name of torchvision ("IMAGENET1K_V1"), fetched once, or the path of a file.
    """
    return ResNet("resnet18", stem, zero_init, weights)


def resnet34(stem: Stem = "imagenet", zero_init: bool = True, weights: str | None = None) -> ResNet:
    """ResNet-34 of torchvision without its classifier: ``pooled`` and ``dense`` 512, ``layer3`` 256.

    Args:
        stem: "cifar" begins with a 3 x 3 convolution of stride 1 and no pooling, for images of 32 to 64 pixels (SimCLR, B.9).
        zero_init: each block starts as the identity: its last BatchNorm's factor is 0.
        weights: a name of torchvision ("IMAGENET1K_V1"), fetched once, or the path of a file.
    """
    return ResNet("resnet34", stem, zero_init, weights)


def resnet50(stem: Stem = "imagenet", zero_init: bool = True, weights: str | None = None) -> ResNet:
    """ResNet-50 of torchvision without its classifier: ``pooled`` and ``dense`` 2,048, ``layer3`` 1,024.

    Args:
        stem: "cifar" begins with a 3 x 3 convolution of stride 1 and no pooling, for images of 32 to 64 pixels (SimCLR, B.9).
        zero_init: each block starts as the identity: its last BatchNorm's factor is 0.
        weights: a name of torchvision ("IMAGENET1K_V2"), fetched once, or the path of a file.
    """
    return ResNet("resnet50", stem, zero_init, weights)


def vit_tiny(size: Size = 224, patch: Size = 16) -> ViT:
    """The tiny vision transformer of DeiT: 12 layers, 192 wide, 3 heads; ``pooled`` is the class token, ``dense`` the patches.

    Args:
        size: side of the images that positions are learnt for; others are interpolated to.
        patch: side of a patch; 4 for images of 32 pixels, 8 for 64.
    """
    return ViT(_deit(size, patch, width=192, heads=3))


def vit_small(size: Size = 224, patch: Size = 16) -> ViT:
    """The small vision transformer of DeiT: 12 layers, 384 wide, 6 heads; ``pooled`` is the class token, ``dense`` the patches.

    Args:
        size: side of the images that positions are learnt for; others are interpolated to.
        patch: side of a patch; 4 for images of 32 pixels, 8 for 64.
    """
    return ViT(_deit(size, patch, width=384, heads=6))


class Normalise(nn.Module):
    """(x - mean) / std by channel; both are saved with the weights that were trained under them."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: tuple[float, ...] = IMAGENET_MEAN, std: tuple[float, ...] = IMAGENET_STD) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(-1, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(-1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """(n, 3, H, W) to the same."""
        return (x - self.mean) / self.std


class ResNet(nn.Module):
    """A torchvision ResNet (He et al., 2016) as an encoder; ``net`` is the torchvision module, its ``fc`` an identity."""

    modality = "image"

    def __init__(self, architecture: str, stem: Stem, zero_init: bool, weights: str | None) -> None:
        super().__init__()
        self.normalise = Normalise()
        self.net = getattr(models, architecture)(zero_init_residual=zero_init)
        width = self.net.fc.in_features
        self.net.fc = nn.Identity()
        if stem == "cifar":
            self.net.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
            nn.init.kaiming_normal_(self.net.conv1.weight, mode="fan_out", nonlinearity="relu")
            self.net.maxpool = nn.Identity()
        if weights is not None:
            load_weights(self.net, architecture, weights)
        self.dims: Mapping[str, int] = {"pooled": width, "dense": width, "layer3": width // 2}

    def forward(self, data: Tensor) -> dict[str, Tensor]:
        """(n, 3, H, W) in [0, 1] to the taps; ``dense`` has the places of the last feature map, row by row."""
        net = self.net
        x = net.maxpool(net.relu(net.bn1(net.conv1(self.normalise(data)))))
        third = net.layer3(net.layer2(net.layer1(x)))
        return _taps(net.layer4(third), third)


class ViT(nn.Module):
    """A torchvision vision transformer (Dosovitskiy et al., 2021) without its classifier, for images of any size."""

    modality = "image"

    def __init__(self, net: models.VisionTransformer) -> None:
        super().__init__()
        self.normalise = Normalise()
        self.net = net
        width = net.hidden_dim
        self.net.heads = nn.Identity()
        self.dims: Mapping[str, int] = {"pooled": width, "dense": width}

    def forward(self, data: Tensor) -> dict[str, Tensor]:
        """(n, 3, H, W) in [0, 1] to the taps; pixels beyond the last whole patch are left out."""
        patches = self.net.conv_proj(self.normalise(data))  # (n, width, rows, columns)
        tokens = torch.cat([self.net.class_token.expand(len(data), -1, -1), patches.flatten(2).mT], dim=1)
        encoder = self.net.encoder
        tokens = tokens + self._positions(patches.shape[2], patches.shape[3])
        tokens = encoder.ln(encoder.layers(encoder.dropout(tokens)))
        return {"pooled": tokens[:, 0], "dense": tokens[:, 1:]}

    def _positions(self, rows: int, columns: int) -> Tensor:
        learnt = self.net.encoder.pos_embedding
        side = self.net.image_size // self.net.patch_size
        if (rows, columns) == (side, side):
            return learnt
        grid = learnt[:, 1:].mT.unflatten(-1, (side, side))
        grid = F.interpolate(grid, (rows, columns), mode="bicubic", antialias=True)
        return torch.cat([learnt[:, :1], grid.flatten(2).mT], dim=1)


class Small(nn.Module):
    """Four 3 x 3 convolutions of stride 2, each with BatchNorm and ReLU: an encoder that a CPU trains in minutes.

    Meant for 32 to 96 pixels. ``pooled`` and ``dense`` are 8 ``width`` wide, ``layer3`` 4 ``width``.

    Args:
        width: channels of the first convolution; they double with each.
    """

    modality = "image"

    def __init__(self, width: Size = 32) -> None:
        super().__init__()
        self.normalise = Normalise()
        sizes = [3, width, 2 * width, 4 * width, 8 * width]
        self.stages = nn.ModuleList(_stage(i, o) for i, o in pairwise(sizes))
        self.dims: Mapping[str, int] = {"pooled": 8 * width, "dense": 8 * width, "layer3": 4 * width}

    def forward(self, data: Tensor) -> dict[str, Tensor]:
        """(n, 3, H, W) in [0, 1] to the taps."""
        x = self.normalise(data)
        for stage in self.stages[:-1]:
            x = stage(x)
        return _taps(self.stages[-1](x), x)


def _deit(size: int, patch: int, width: int, heads: int) -> models.VisionTransformer:
    return models.VisionTransformer(
        image_size=size // patch * patch,
        patch_size=patch,
        num_layers=12,
        num_heads=heads,
        hidden_dim=width,
        mlp_dim=4 * width,
    )


def _stage(inputs: int, outputs: int) -> nn.Module:
    convolution = nn.Conv2d(inputs, outputs, 3, stride=2, padding=1, bias=False)
    nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))


def _taps(last: Tensor, third: Tensor) -> dict[str, Tensor]:
    dense = last.flatten(2).mT
    return {"pooled": dense.mean(dim=1), "dense": dense, "layer3": third.mean(dim=(2, 3))}
