"""The text plugin under the contracts."""

from __future__ import annotations

from typing import Any

import pytest

from contrapose.testing import EncoderContract, ModalityContract, ViewContract
from contrapose_text.modality import Text

TEXTS = [
    {"name": "a wooden chair with four legs"},
    {"name": "Chair"},
    {"name": "ein grüner Ohrensessel — bequem, groß, 椅子 🪑"},
    {"name": "a lamp"},
    {"name": "one   table\nfor two,\tof oak " * 9},
    {"name": "a wooden table with a drawer"},
]
LONG = [
    {"name": f"the {word} stands beside a wide wooden table with four legs"}
    for word in ("chair", "lamp", "bed", "bath")
]
COLUMNS = [
    {"name": "a wide bed of wood", "note": None},
    {"name": "a brass lamp", "note": "for the hall"},
    {"name": "a sofa", "note": "it stands in the long hall"},
]
SMALL: dict[str, Any] = {"use": "text", "vocabulary": 300, "max_length": 12}
WORDS: dict[str, dict[str, Any]] = {"text/delete": {"rate": 0.5}, "text/swap": {}, "text/crop": {"low": 0.2}}
FIXED: dict[str, dict[str, Any]] = {"text/dropout": {}, "text/eval": {}}


class TestText(ModalityContract):
    spec = "text"
    arguments = {"vocabulary": 300, "max_length": 12}
    cells = TEXTS
    broken = [{"name": ""}, {"name": " \n "}, {"name": b"\xff\xfe\x00"}, {"name": 3.5}, {"name": "nowhere.txt"}]


class TestTextOfColumns(ModalityContract):
    spec = "text"
    arguments = {"vocabulary": 300, "max_length": 24}
    cells = COLUMNS


class TestTextFiles(ModalityContract):
    spec = "text"
    arguments = {"vocabulary": 300, "max_length": 12}
    broken = [{"name": "nowhere.txt"}, {"name": "../0.txt"}]

    @property
    def cells(self) -> list[dict[str, str]]:
        for i, text in enumerate(("a wooden chair", "a lamp\nof brass", "ein grüner Sessel")):
            (self.folder / f"{i}.txt").write_text(text, encoding="utf-8")
        return [{"name": f"{i}.txt"} for i in range(3)]


class TestWords(ViewContract):
    specs = WORDS
    modality = SMALL
    cells = LONG


class TestFixedViews(ViewContract):
    specs = FIXED
    modality = SMALL
    cells = TEXTS
    random = False


class TestTransformer(EncoderContract):
    spec = "text/transformer"
    arguments = {"layers": 2, "width": 16, "heads": 2}
    modality = SMALL
    cells = TEXTS


class TestPoolings(EncoderContract):
    spec = "text/transformer"
    arguments = {"layers": 1, "width": 8, "heads": 1, "pooling": "first-last"}
    modality = SMALL
    cells = TEXTS


class TestPretrained(EncoderContract):
    spec = "text/pretrained"
    cells = TEXTS

    @pytest.fixture(autouse=True, scope="class")
    def _weights(self, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> None:
        """A folder as transformers leaves it, with a tokenizer."""
        from transformers import BertConfig, BertModel

        folder = tmp_path_factory.mktemp("bert")
        config = BertConfig(
            vocab_size=300, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32
        )
        BertModel(config).save_pretrained(folder)
        text = Text(vocabulary=300)
        text.fit(TEXTS)
        (folder / "tokenizer.json").write_text(text.state_dict()["tokenizer"])
        request.cls.arguments = {"path": str(folder)}
        request.cls.modality = {"use": "text", "tokenizer": str(folder / "tokenizer.json"), "max_length": 12}


class TestPretrainedWithLora(TestPretrained):
    @pytest.fixture(autouse=True, scope="class")
    def _lora(self, request: pytest.FixtureRequest, _weights: None) -> None:
        pytest.importorskip("peft", reason="peft isn't installed")
        request.cls.arguments = {**request.cls.arguments, "lora": {"rank": 2}}


class TestFromConfig(EncoderContract):
    spec = "text/from-config"
    arguments = {"config": {"model_type": "distilbert", "dim": 16, "n_layers": 1, "n_heads": 2, "hidden_dim": 32}}
    modality = SMALL
    cells = TEXTS


class TestBag(EncoderContract):
    spec = "text/bag"
    arguments = {"width": 8}
    modality = SMALL
    cells = TEXTS
