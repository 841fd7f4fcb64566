from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from safetensors.torch import save_file
from torchvision.transforms.v2 import functional as tvf

from contrapose import ConfigError, build
from contrapose.types import Encoder
from contrapose_image import encoders

SMALL: list[dict[str, Any]] = [
    {"use": "image/small", "width": 8},
    {"use": "image/resnet18", "stem": "cifar"},
    {"use": "image/resnet50"},
    {"use": "image/vit-tiny", "size": 32, "patch": 8},
]
IDS = [node["use"] for node in SMALL]


@pytest.mark.parametrize("node", SMALL, ids=IDS)
def test_taps_have_the_declared_dims_also_for_no_rows_and_one(node: dict[str, Any]) -> None:
    encoder = build("encoder", node).eval()
    assert isinstance(encoder, Encoder)
    assert encoder.modality == "image"
    for rows in (0, 1, 3):
        taps = encoder(torch.rand(rows, 3, 32, 32))
        assert taps.keys() == encoder.dims.keys()
        for name, tap in taps.items():
            assert tap.shape[0] == rows
            assert tap.shape[-1] == encoder.dims[name]
            assert tap.ndim == (3 if name == "dense" else 2)


@pytest.mark.parametrize("node", SMALL, ids=IDS)
def test_pooled_reaches_every_parameter(node: dict[str, Any]) -> None:
    torch.manual_seed(0)
    encoder = build("encoder", node if "resnet" not in node["use"] else {**node, "zero_init": False})
    encoder(torch.rand(4, 3, 32, 32))["pooled"].square().sum().backward()
    for name, parameter in encoder.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize("node", SMALL, ids=IDS)
def test_no_rows_in_training_leave_the_statistics_alone(node: dict[str, Any]) -> None:
    encoder = build("encoder", node).train()
    sum(tap.sum() for tap in encoder(torch.zeros(0, 3, 32, 32)).values()).backward()
    assert all(p.grad is not None for p in encoder.parameters())
    assert all(b.isfinite().all() for b in encoder.buffers())


def test_every_encoder_on_offer_can_be_built_and_saved() -> None:
    for name in ("resnet18", "resnet34", "resnet50", "vit-tiny", "vit-small", "small"):
        encoder = build("encoder", f"image/{name}")
        assert pickle.loads(pickle.dumps(encoder)).dims == encoder.dims


def test_resnet_is_torchvisions_on_normalised_images() -> None:
    torch.manual_seed(0)
    encoder = encoders.resnet18(zero_init=False).eval()
    reference = torchvision.models.resnet18()
    reference.fc = torch.nn.Identity()
    reference.load_state_dict(encoder.net.state_dict())
    images = torch.rand(2, 3, 64, 64)
    expected = reference.eval()(tvf.normalize(images, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
    taps = encoder(images)
    torch.testing.assert_close(taps["pooled"], expected)
    torch.testing.assert_close(taps["dense"].mean(dim=1), expected)
    assert taps["dense"].shape == (2, 4, 512)


def test_dense_rows_are_places_row_by_row() -> None:
    encoder = build("encoder", {"use": "image/small", "width": 4}).eval()
    image = torch.rand(1, 3, 64, 64)
    changed = image.clone()
    changed[:, :, 60:, 60:] = 0  # the last corner
    apart = (encoder(image)["dense"] - encoder(changed)["dense"]).abs().sum(dim=-1)[0]
    assert apart[0] == 0
    assert apart.argmax() == 15


def test_cifar_stem_keeps_the_resolution() -> None:
    images = torch.rand(1, 3, 32, 32)
    assert encoders.resnet18(stem="cifar").eval()(images)["dense"].shape == (1, 16, 512)
    assert encoders.resnet18().eval()(images)["dense"].shape == (1, 1, 512)


def test_zero_init_starts_each_block_as_the_identity() -> None:
    assert encoders.resnet18().net.layer4[1].bn2.weight.abs().sum() == 0
    assert encoders.resnet50(zero_init=False).net.layer4[2].bn3.weight.min() == 1


def test_vit_interpolates_its_positions_to_other_sizes() -> None:
    encoder = build("encoder", {"use": "image/vit-tiny", "size": 32, "patch": 8}).eval()
    assert encoder(torch.rand(1, 3, 48, 64))["dense"].shape == (1, 48, 192)
    assert torch.equal(encoder._positions(4, 4), encoder.net.encoder.pos_embedding)
    reference = encoder.net.heads(encoder.net(encoder.normalise(images := torch.rand(2, 3, 32, 32))))
    torch.testing.assert_close(encoder(images)["pooled"], reference)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_weights_from_a_file(tmp_path: Path, suffix: str) -> None:
    source = torchvision.models.resnet18()
    path = tmp_path / f"r18{suffix}"
    if suffix == ".pth":
        torch.save({"state_dict": source.state_dict()}, path)
    else:
        save_file(source.state_dict(), path)
    encoder = build("encoder", {"use": "image/resnet18", "weights": str(path)})
    assert torch.equal(encoder.net.layer4[1].conv2.weight, source.layer4[1].conv2.weight)
    with pytest.raises(ConfigError, match=r"doesn't fit resnet18 as it is built here.*conv1") as caught:
        build("encoder", {"use": "image/resnet18", "stem": "cifar", "weights": str(path)}, ("encoders", "image"))
    assert caught.value.path == ("encoders", "image", "weights")


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return (print, ("code ran",))


def test_weights_that_would_run_code_or_lack_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({"conv1.weight": Evil()}, tmp_path / "evil.pth")
    with pytest.raises(ConfigError, match="read safely"):
        encoders.resnet18(weights=str(tmp_path / "evil.pth"))
    assert "code ran" not in capsys.readouterr().out
    with pytest.raises(ConfigError, match="no file"):
        encoders.resnet18(weights=str(tmp_path / "none.pth"))
    with pytest.raises(ConfigError, match="did you mean 'IMAGENET1K_V1'"):
        encoders.resnet18(weights="IMAGENET1K_V3")


def test_weights_by_name_say_what_to_do_offline(monkeypatch: pytest.MonkeyPatch) -> None:
    from urllib.error import URLError

    def unreachable(*args: Any, **kwargs: Any) -> None:
        raise URLError("no route")

    monkeypatch.setattr(torchvision.models.ResNet18_Weights, "get_state_dict", unreachable)
    with pytest.raises(ConfigError, match=r"can't be fetched.*offline, give the path"):
        encoders.resnet18(weights="DEFAULT")


def test_bf16_autocast_stays_finite() -> None:
    encoder = build("encoder", {"use": "image/small", "width": 8})
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert encoder(torch.rand(4, 3, 32, 32))["pooled"].isfinite().all()
