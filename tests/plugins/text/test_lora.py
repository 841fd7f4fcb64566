from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from contrapose import ConfigError, build
from contrapose_text.lora import merged
from contrapose_text.modality import Text

pytest.importorskip("peft", reason="peft isn't installed")
TEXTS = ["Bed", "Oak chair", "A corner sofa with an ottoman"]


def make(bert: Path, lora: Any) -> Any:
    torch.manual_seed(0)
    return build("encoder", {"use": "text/pretrained", "path": str(bert), "lora": lora}, ("encoders", "text"))


@pytest.fixture
def batch(bert: Path) -> dict[str, torch.Tensor]:
    return Text(tokenizer=str(bert), max_length=16).collate(TEXTS)


def test_it_begins_as_the_pretrained_network_and_trains_its_matrices_alone(bert: Path, batch: Any) -> None:
    encoder = make(bert, {"rank": 4, "alpha": 8, "targets": ["query", "dense"]})
    plain = build("encoder", {"use": "text/pretrained", "path": str(bert)})
    torch.testing.assert_close(encoder.eval()(batch)["pooled"], plain.eval()(batch)["pooled"])
    trained = {name: p for name, p in encoder.named_parameters() if p.requires_grad}
    assert all("lora_" in name for name in trained)
    assert len(trained) == 2 * 3 * 4  # A and B, in three layers, of the query and three dense layers
    assert {min(p.shape) for p in trained.values()} == {4}


def test_merging_adds_the_scaled_product(bert: Path, batch: Any) -> None:
    encoder = make(bert, {"rank": 4, "alpha": 8}).eval()
    layer = encoder.net.encoder.layer[1].attention.self.query
    with torch.no_grad():
        for name, p in encoder.named_parameters():
            if "lora_B" in name:
                p.normal_()
        a, b = layer.lora_A["default"].weight.double(), layer.lora_B["default"].weight.double()
        expected = layer.base_layer.weight.double() + 8 / 4 * b @ a
        before = encoder(batch)["pooled"]
        net = merged(encoder.net)
        weight = net.encoder.layer[1].attention.self.query.weight
        torch.testing.assert_close(weight.double(), expected, atol=1e-6, rtol=1e-6)
        assert not any("lora" in name or "base_layer" in name for name in net.state_dict())
        assert torch.equal(encoder(batch)["pooled"], before), "the encoder itself stays as it was"
        encoder.net = net
        torch.testing.assert_close(encoder(batch)["pooled"], before, atol=1e-5, rtol=1e-5)


def test_slips_are_told_in_one_line(bert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="its linear layers are dense, key, query, value") as caught:
        make(bert, {"targets": ["querry"]})
    assert caught.value.path == ("encoders", "text", "lora", "targets")
    assert "\n" not in caught.value.message
    with pytest.raises(ConfigError) as caught:
        make(bert, {"rank": 0})
    assert caught.value.path == ("encoders", "text", "lora", "rank")
    monkeypatch.setitem(__import__("sys").modules, "peft", None)
    with pytest.raises(ConfigError, match=r"needs peft: pip install 'contrapose-text\[lora\]'"):
        make(bert, {})
