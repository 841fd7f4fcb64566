"""Torchvision's video networks without their classifiers, and what reads a clip block by block."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn
from torchvision.models import get_model

from contrapose import build
from contrapose.errors import ConfigError
from contrapose_video.backbones import Torchvision
from contrapose_video.encoders import Blocks, Small

SMALL, MVIT = (2, 3, 4, 32, 32), (1, 3, 16, 224, 224)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["r3d_18", "mc3_18", "r2plus1d_18", "swin3d_t", "mvit_v2_s"])
def test_pooled_is_what_the_classifier_reads(name: str) -> None:
    encoder, net = Torchvision(name).eval(), get_model(name).eval()
    for head in ("fc", "head", "classifier"):
        if hasattr(net, head):
            setattr(net, head, nn.Identity())
    net.load_state_dict(encoder.net.state_dict())
    data = torch.rand(*(MVIT if name == "mvit_v2_s" else SMALL))
    with torch.no_grad():
        taps = encoder(data)
        torch.testing.assert_close(taps["pooled"], net(encoder.normalise(data)), rtol=1e-4, atol=1e-5)
        dense = encoder.features(data).flatten(2).mT
    torch.testing.assert_close(taps["dense"], dense)
    assert {tap: value.shape[-1] for tap, value in taps.items()} == dict(encoder.dims)


def test_mistakes_are_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean 'r3d_18'"):
        Torchvision("r3d18")
    with pytest.raises(ConfigError, match="there is no file"):
        Torchvision("s3d", weights=str(tmp_path / "none.pth"))
    with pytest.raises(ConfigError, match="14 frames at least"):
        Torchvision("s3d")(torch.zeros(1, 3, 4, 32, 32))
    with pytest.raises(ConfigError, match="aren't 3 blocks"):
        Blocks({"use": "video/small", "width": 2}, blocks=3)(torch.zeros(1, 3, 4, 16, 16))


def test_weights_come_from_a_file_and_must_fit(tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = get_model("s3d")
    torch.save(net.state_dict(), tmp_path / "s3d.pth")
    made = Torchvision("s3d", weights=str(tmp_path / "s3d.pth"))
    for name, value in made.net.state_dict().items():
        torch.testing.assert_close(value, net.state_dict()[name])
    torch.save({"x": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(ConfigError, match="doesn't fit s3d"):
        Torchvision("s3d", weights=str(tmp_path / "other.pth"))


def test_no_block_sees_another() -> None:
    encoder = build(
        "encoder", {"use": "video/blocks", "blocks": 4, "encoder": {"use": "video/small", "width": 2}}
    ).eval()
    data = torch.rand(2, 3, 8, 32, 32)
    other = data.clone()
    other[:, :, 4:6] = 0
    with torch.no_grad():
        a, b = (encoder(x)["dense"].unflatten(1, (4, -1)) for x in (data, other))
    changed = (a - b).abs().amax(dim=(0, 2, 3)) > 0
    assert changed.tolist() == [False, False, True, False]


def test_dense_goes_time_by_time() -> None:
    encoder = Small(width=2).eval()
    data = torch.rand(1, 3, 8, 32, 32)
    with torch.no_grad():
        features = encoder.features(data)
        taps = encoder(data)
    assert features.shape == (1, 16, 2, 2, 2)
    torch.testing.assert_close(taps["dense"][0, 5], features[0, :, 1, 0, 1])
    torch.testing.assert_close(taps["pooled"], features.mean(dim=(2, 3, 4)))


def test_an_mvit_takes_an_empty_batch() -> None:
    """As a rank has one whose rows all lack the modality; its graph stays."""
    net = Torchvision("mvit_v2_s")
    made = net(torch.zeros(0, *MVIT[1:]))
    assert made["pooled"].shape == (0, 768)
    assert made["pooled"].requires_grad
