from __future__ import annotations

import json
import shutil
import socket
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModel, AutoTokenizer, T5Config, T5Model

from contrapose import ConfigError, build
from contrapose_text.encoders import Pretrained
from contrapose_text.modality import Text

TEXTS = ["Bed", "Oak chair", "A corner sofa with an ottoman", "🪑"]


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def modality(source: Path | str, max_length: int = 40) -> Text:
    made = Text(tokenizer=str(source), max_length=max_length)
    made.fit([])
    return made


def pretrained(folder: Path | str, text: Text | None = None, **arguments: Any) -> Any:
    node = {"use": "text/pretrained", "path": str(folder), **arguments}
    return build("encoder", node, ("encoders", "text"), **(text.facts() if text else {}))


def test_a_folder_gives_its_tokenizer(bert: Path) -> None:
    theirs = AutoTokenizer.from_pretrained(bert)(TEXTS, padding="max_length", max_length=40, return_tensors="pt")
    ours = modality(bert).collate(TEXTS)
    assert torch.equal(ours["ids"], theirs["input_ids"])
    assert torch.equal(ours["mask"], theirs["attention_mask"].bool())
    assert modality(bert).facts()["pad"] == 4
    assert modality(bert / "tokenizer.json").collate(TEXTS)["ids"].equal(ours["ids"])
    assert modality(bert, max_length=4).collate(TEXTS)["ids"].shape == (4, 4)


def test_a_tokenizer_that_was_given_is_saved_with_the_run(bert: Path, tmp_path: Path) -> None:
    shutil.copytree(bert, moved := tmp_path / "moved")
    made = modality(moved)
    expected, state = made.collate(TEXTS)["ids"], json.loads(json.dumps(made.state_dict()))
    shutil.rmtree(moved)
    again = Text(tokenizer=str(moved), max_length=40)
    again.load_state_dict(state)
    assert torch.equal(again.collate(TEXTS)["ids"], expected)
    assert again.facts()["pad"] == 4


def test_a_folder_gives_its_encoder(bert: Path, capfd: pytest.CaptureFixture[str]) -> None:
    text = modality(bert)
    encoder = pretrained(bert, text)
    assert capfd.readouterr() == ("", "")
    assert encoder.dims == {"pooled": 32, "masked": 32}
    batch = text.collate(TEXTS)
    reference = AutoModel.from_pretrained(bert).eval()
    theirs = reference(input_ids=batch["ids"], attention_mask=batch["mask"].long()).last_hidden_state
    expected = torch.stack([h[m].mean(dim=0) for h, m in zip(theirs, batch["mask"], strict=True)])
    torch.testing.assert_close(encoder.eval()(batch)["pooled"], expected, atol=1e-6, rtol=1e-5)
    assert pretrained(bert, text, pooling="cls").eval()(batch)["pooled"].allclose(theirs[:, 0], atol=1e-6)


def test_it_trains_with_dropout_and_every_parameter_has_a_gradient(bert: Path) -> None:
    text = modality(bert)
    encoder = pretrained(bert, text)
    batch = text.collate(TEXTS)
    assert not torch.equal(encoder(batch)["pooled"], encoder(batch)["pooled"])
    encoder(batch)["pooled"].pow(3).sum().backward()
    assert all(p.grad is not None for p in encoder.parameters())
    assert {p.dtype for p in encoder.parameters()} == {torch.float32}


def test_half_precision_files_are_trained_in_float32(bert: Path, tmp_path: Path) -> None:
    AutoModel.from_pretrained(bert).to(torch.bfloat16).save_pretrained(tmp_path)
    assert {p.dtype for p in pretrained(tmp_path).parameters()} == {torch.float32}


def test_another_tokenizer_is_refused(bert: Path, names: list[str]) -> None:
    large = Text()
    large.fit([{"name": name} for name in names])
    remedy = f"give modalities.text the argument tokenizer: {bert}"
    with pytest.raises(ConfigError, match=f"knows the words of its own tokenizer alone: {remedy}") as caught:
        pretrained(bert, large)
    assert caught.value.path == ("encoders", "text", "path")
    with pytest.raises(ConfigError, match=rf"the tokenizer has 900 tokens, but .* knows \d+: {remedy}"):
        Pretrained(str(bert), vocabulary=900)
    with pytest.raises(ConfigError, match="takes 40 tokens; set modalities"):
        pretrained(bert, modality(bert, max_length=64))


@pytest.mark.parametrize("where", ["./none", "/no/where", "some where", "~/none-of-it", "a/b/c"])
def test_a_folder_that_lacks_is_told_in_one_line(where: str) -> None:
    for argument, call in (("path", lambda: Pretrained(where)), ("tokenizer", lambda: modality(where))):
        with pytest.raises(ConfigError, match=f"^there is no folder {where}$") as caught:
            call()
        assert caught.value.path == (argument,)


def test_files_that_cant_be_read_are_told_in_one_line(bert: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.json can't be read as a tokenizer\.json: no such file"):
        modality(tmp_path / "none.json")
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(ConfigError, match=r"tokenizer\.json can't be read as a tokenizer\.json: "):
        modality(tmp_path / "tokenizer.json")
    for call in (lambda: modality(tmp_path), lambda: pretrained(tmp_path)):
        with pytest.raises(ConfigError, match="can't be loaded: ") as caught:
            call()
        assert "\n" not in caught.value.message
    shutil.copytree(bert, broken := tmp_path / "broken")
    (broken / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(ConfigError, match="broken can't be loaded: "):
        pretrained(broken)


def test_a_model_without_all_of_its_weights_is_refused(bert: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    shutil.copytree(bert, part := tmp_path / "part")
    state = load_file(part / "model.safetensors")
    kept = {name: t for name, t in state.items() if "layer.1" not in name}
    save_file(kept, part / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ConfigError, match=r"lacks weights of its model: encoder\.layer\.1"):
        pretrained(part)


def test_an_encoder_with_a_decoder_is_refused(tmp_path: Path) -> None:
    config = T5Config(vocab_size=50, d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2, decoder_start_token_id=0)
    T5Model(config).save_pretrained(tmp_path / "t5")
    with pytest.raises(ConfigError, match="encoder with a decoder"):
        pretrained(tmp_path / "t5")


@pytest.mark.parametrize("name", ["nobody-has/this-one", "bert-of-nobody"])
def test_a_name_says_what_to_do_offline(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    for argument, call in (("path", lambda: Pretrained(name)), ("tokenizer", lambda: modality(name))):
        with pytest.raises(
            ConfigError, match=rf"^'{name}' is no folder here, nor could .*; offline, give the path"
        ) as caught:
            call()
        assert caught.value.path == (argument,)
        assert "\n" not in caught.value.message


def test_a_model_with_code_of_its_own_runs_none(bert: Path, tmp_path: Path) -> None:
    shutil.copytree(bert, evil := tmp_path / "evil")
    config = json.loads((evil / "config.json").read_text())
    config |= {"model_type": "evil", "auto_map": {"AutoConfig": "code.Config", "AutoModel": "code.Model"}}
    (evil / "config.json").write_text(json.dumps(config))
    (evil / "code.py").write_text("from pathlib import Path; Path('ran').touch()")
    with pytest.raises(ConfigError, match="can't be loaded: "):
        pretrained(evil)
    assert not Path("ran").exists()
