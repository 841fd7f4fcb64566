"""Encoders that timm names: against its own models."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from contrapose import ConfigError, build


@pytest.mark.parametrize("name", ["test_resnet", "test_convnext", "test_vit", "test_efficientnet"])
def test_pooled_is_timms_own_and_dense_its_places(name: str, tmp_path: Path) -> None:
    timm = pytest.importorskip("timm")
    torch.manual_seed(0)
    net = timm.create_model(name).eval()
    save_file(net.state_dict(), tmp_path / "weights.safetensors")
    encoder = build(
        "encoder", {"use": "image/timm", "name": name, "weights": str(tmp_path / "weights.safetensors")}
    ).eval()
    images = torch.rand(2, 3, 160, 160)
    with torch.no_grad():
        taps = encoder(images)
        found = net.forward_features(encoder.normalise(images))
        torch.testing.assert_close(taps["pooled"], net.forward_head(found, pre_logits=True))
    torch.testing.assert_close(taps["dense"], found[:, 1:] if found.ndim == 3 else found.flatten(2).mT)
    assert encoder.normalise.mean.flatten().tolist() == pytest.approx(net.pretrained_cfg["mean"])
    assert {tap: values.shape[-1] for tap, values in taps.items()} == encoder.dims


def test_where_channels_come_last_places_are_places_too() -> None:
    pytest.importorskip("timm")
    encoder = build("encoder", {"use": "image/timm", "name": "swin_tiny_patch4_window7_224"}).eval()
    with torch.no_grad():
        taps = encoder(torch.rand(1, 3, 224, 224))
    assert taps["dense"].shape == (1, 49, 768)
    torch.testing.assert_close(taps["dense"].mean(dim=1), taps["pooled"])


def test_no_rows_leave_mode_and_statistics_alone() -> None:
    pytest.importorskip("timm")
    encoder = build("encoder", {"use": "image/timm", "name": "test_resnet"})
    kept = {name: buffer.clone() for name, buffer in encoder.named_buffers()}
    taps = encoder.train()(torch.zeros(0, 3, 64, 64))
    sum(tap.sum() for tap in taps.values()).backward()
    assert all(p.grad is not None and not p.grad.any() for p in encoder.parameters())
    assert encoder.training
    assert all(torch.equal(buffer, kept[name]) for name, buffer in encoder.named_buffers())
    assert not encoder.eval()(torch.zeros(0, 3, 64, 64))["pooled"].numel()
    assert not encoder.training


@pytest.mark.parametrize(
    ("node", "message", "at"),
    [
        ({"name": "test_vitt"}, "no model 'test_vitt'; did you mean 'test_vit", ["name"]),
        ({"name": "hf-hub:someone/model"}, "no model", ["name"]),
        ({"name": "test_resnet", "size": 64}, "can't be built so", []),
        ({"name": "test_resnet", "weights": "none.pth"}, "no file", ["weights"]),
        ({"name": "crossvit_tiny_240"}, "gives no taps", ["name"]),
    ],
)
def test_misuse_is_one_line(node: dict[str, Any], message: str, at: list[str]) -> None:
    pytest.importorskip("timm")
    with pytest.raises(ConfigError, match=message) as caught:
        build("encoder", {"use": "image/timm", **node}, ("encoders", "image"))
    assert caught.value.path == ("encoders", "image", *at)
    assert "\n" not in str(caught.value)


def test_without_timm_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(ConfigError, match=r"pip install 'contrapose-image\[timm\]'"):
        build("encoder", {"use": "image/timm", "name": "test_vit"})
