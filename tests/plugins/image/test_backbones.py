"""Encoders that torchvision names: against its own classifiers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torchvision import models

from contrapose import ConfigError, build
from contrapose_image.backbones import ENDS, RESNETS, UNLIKE

CONVOLUTIONAL = [
    "squeezenet1_1", "mobilenet_v2", "mobilenet_v3_small", "shufflenet_v2_x0_5", "mnasnet0_5", "regnet_y_400mf",
    "efficientnet_b0", "densenet121", "swin_t",
]  # fmt: skip


def classifier_of(name: str) -> tuple[torch.nn.Module, list[Tensor]]:
    """torchvision's own model, and where it puts what its head reads: a feature map or its mean."""
    torch.manual_seed(0)
    net = models.get_model(name).eval()
    seen: list[Tensor] = []
    first = next(child for child_name, child in net.named_children() if child_name in ENDS)
    first.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    return net, seen


@pytest.mark.parametrize("name", CONVOLUTIONAL)
def test_taps_are_what_torchvisions_own_head_reads(name: str, tmp_path: Path) -> None:
    net, seen = classifier_of(name)
    torch.save(net.state_dict(), tmp_path / "weights.pth")
    encoder = build(
        "encoder", {"use": "image/torchvision", "name": name, "weights": str(tmp_path / "weights.pth")}
    ).eval()
    images = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        net(encoder.normalise(images))
        taps = encoder(images)
    (read,) = seen
    torch.testing.assert_close(taps["pooled"], read.mean(dim=(2, 3)) if read.ndim == 4 else read)
    torch.testing.assert_close(taps["dense"].mean(dim=1), taps["pooled"])
    assert {tap: values.shape[-1] for tap, values in taps.items()} == encoder.dims
    if read.ndim == 4:
        assert torch.equal(taps["dense"][:, 1], read[:, :, 0, 1])


def test_every_classifier_is_of_a_family_that_is_known() -> None:
    families = ("alexnet", "vgg", "convnext", "swin", "regnet", "densenet", "efficientnet", "mnasnet", "mobilenet")
    families += ("shufflenet", "squeezenet", "vit", *RESNETS, *UNLIKE)
    assert [n for n in models.list_models(module=models) if not n.startswith(families)] == []
    with torch.device("meta"):  # those too large to run here
        for name in ("alexnet", "vgg11_bn", "convnext_tiny"):
            assert [n for n, _ in models.get_model(name).named_children()] == ["features", "avgpool", "classifier"]


def test_resnets_have_a_stem_for_small_images() -> None:
    encoder = build("encoder", {"use": "image/torchvision", "name": "resnext50_32x4d", "stem": "cifar"}).eval()
    assert encoder(torch.rand(1, 3, 32, 32))["dense"].shape == (1, 16, 2048)
    assert encoder.dims == {"pooled": 2048, "dense": 2048, "layer3": 1024}


def test_vits_give_the_class_token_and_the_patches() -> None:
    encoder = build("encoder", {"use": "image/torchvision", "name": "vit_b_32", "size": 64}).eval()
    images = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        taps = encoder(images)
        torch.testing.assert_close(taps["pooled"], encoder.net(encoder.normalise(images)))
    assert taps["dense"].shape == (2, 4, 768)


@pytest.mark.parametrize(
    ("node", "message", "at"),
    [
        ({"name": "resnet19"}, "no classifier 'resnet19'; did you mean 'resnet1", "name"),
        ({"name": "raft_small"}, "no classifier", "name"),
        ({"name": "maxvit_t"}, "one size only", "name"),
        ({"name": "swin_t", "stem": "cifar"}, "'cifar' is for ResNets", "stem"),
        ({"name": "swin_t", "size": 64}, "any size", "size"),
        ({"name": "mobilenet_v2", "weights": "none.pth"}, "no file", "weights"),
        ({"name": "mobilenet_v2", "weights": "IMAGENET1K"}, "did you mean", "weights"),
    ],
)
def test_misuse_is_one_line(node: dict[str, Any], message: str, at: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        build("encoder", {"use": "image/torchvision", **node}, ("encoders", "image"))
    assert caught.value.path == ("encoders", "image", at)
    assert "\n" not in str(caught.value)


def test_weights_of_another_model_do_not_fit(tmp_path: Path) -> None:
    torch.save(models.squeezenet1_0().state_dict(), tmp_path / "other.pth")
    with pytest.raises(ConfigError, match="doesn't fit mobilenet_v2"):
        build("encoder", {"use": "image/torchvision", "name": "mobilenet_v2", "weights": str(tmp_path / "other.pth")})
