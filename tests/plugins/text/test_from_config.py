from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from contrapose import ConfigError, build
from contrapose_text.bag import Bag
from contrapose_text.modality import Text

TEXTS = ["A corner sofa with an ottoman of green velvet", "Bed", "oak " * 40]
ROBERTA = {
    "model_type": "roberta",
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "max_position_embeddings": 33,
}
DISTILBERT = {"model_type": "distilbert", "dim": 32, "n_layers": 2, "n_heads": 2, "hidden_dim": 64}


def make(text: Text, config: Any, **arguments: Any) -> Any:
    torch.manual_seed(0)
    return build(
        "encoder", {"use": "text/from-config", "config": config, **arguments}, ("encoders", "text"), **text.facts()
    )


@pytest.mark.parametrize("config", [ROBERTA, DISTILBERT], ids=["roberta", "distilbert"])
@pytest.mark.parametrize("pooling", ["cls", "last-two"])
def test_any_model_takes_the_longest_texts(text: Text, config: dict[str, Any], pooling: str) -> None:
    encoder = make(text, config, pooling=pooling)
    batch = text.collate(TEXTS)
    assert batch["mask"].all(dim=1).any()
    pooled = encoder(batch)["pooled"]
    assert pooled.shape == (3, 32)
    pooled.pow(3).sum().backward()
    assert all(p.grad is not None for p in encoder.parameters())
    assert encoder.net.config.vocab_size == text.facts()["vocabulary"]


def test_a_file_and_its_folder_are_the_mapping(text: Text, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(ROBERTA))
    expected = make(text, ROBERTA).state_dict()
    for where in (tmp_path / "config.json", tmp_path):
        found = make(text, str(where)).state_dict()
        assert all(torch.equal(found[name], expected[name]) for name in expected)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({**ROBERTA, "model_type": "robrta"}, "no model_type 'robrta'; did you mean 'roberta'"),
        ({**ROBERTA, "max_position_embeddings": 32}, "takes 31 tokens, but texts have up to 32"),
        ({**ROBERTA, "num_attention_heads": 5}, "can't make a roberta of it: "),
        ({**ROBERTA, "hidden_size": "wide"}, "transformers can't"),
        ({"model_type": "t5", "d_model": 16, "num_layers": 1, "d_ff": 8, "d_kv": 8, "num_heads": 2}, "with a decoder"),
        ("./none/config.json", "none/config.json can't be read as a config.json: "),
    ],
)
def test_slips_are_told_in_one_line(text: Text, config: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        make(text, config)
    assert caught.value.path == ("encoders", "text", "config")
    assert "\n" not in caught.value.message


def test_a_bag_cuts_nothing_off(text: Text) -> None:
    batch = text.collate(["one two three"])
    with pytest.raises(ConfigError, match="leave text/cutoff out"):
        Bag(300)({**batch, "cut": {}})


def test_a_bag_is_the_mean_of_its_tokens(text: Text) -> None:
    bag = build("encoder", {"use": "text/bag", "width": 8}, **text.facts())
    batch = text.collate(TEXTS)
    for row, pooled in enumerate(bag(batch)["pooled"]):
        tokens = batch["ids"][row, batch["mask"][row]].tolist()
        vectors = bag.vectors.weight.detach().double()
        expected = [sum(float(vectors[t, d]) for t in tokens) / len(tokens) for d in range(8)]
        assert pooled.tolist() == pytest.approx(expected, abs=1e-6)
