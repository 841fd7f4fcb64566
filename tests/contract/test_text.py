"""The text plugin under the contracts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from tests.plugins.text.tokens import VOCABULARY, Tokens, declutr, spans

from contrapose import Method
from contrapose.testing import (
    EncoderContract,
    HeadContract,
    LossContract,
    MethodContract,
    ModalityContract,
    ViewContract,
)
from contrapose.types import Batch
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
TOKENS: dict[str, dict[str, Any]] = {"text/shuffle": {}, "text/mask": {"rate": 0.4}, "text/cutoff": {"tokens": 0.2}}
FIXED: dict[str, dict[str, Any]] = {"text/dropout": {}, "text/eval": {}, "text/prefix": {}, "text/short-long": {}}
OF_COLUMNS: dict[str, dict[str, Any]] = {
    "text/column": {"name": "name"},
    "text/columns": {"slots": {"anchor": "name", "positive": "note"}, "prefixes": {"positive": "passage: "}},
}


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
    specs = WORDS | TOKENS
    modality = SMALL
    cells = LONG


class TestFixedViews(ViewContract):
    specs = FIXED
    modality = SMALL
    cells = TEXTS
    random = False


class TestViewsOfColumns(ViewContract):
    specs = OF_COLUMNS
    modality = SMALL
    cells = COLUMNS
    random = False


class TestSpans(ViewContract):
    spec = "text/spans"
    arguments = {"shortest": 1, "longest": 4}
    modality = SMALL
    cells = [*LONG, TEXTS[1]]


class TestPooler(HeadContract):
    spec = "text/pooler"


class TestMethods(MethodContract):
    specs: dict[str, dict[str, Any]] = {f"text/{name}": {} for name in ("simcse", "consert", "mnrl", "e5")}


class TestTriples(MethodContract):
    spec = "text/simcse-supervised"


class TestDeclutr(MethodContract):
    spec = "text/declutr"

    def method(self, seed: int = 0) -> Method:
        """Over a toy encoder of tokens."""
        method = declutr(seed)
        method.clock.start(steps_per_epoch=1, epochs=3)
        return method

    def batch(self, count: int = 8, seed: int = 0, missing: Any = ()) -> Batch:
        """Its views tell which anchor they belong to, and some of their tokens are masked."""
        return spans(count, seed, missing)


class TestMaskedTokens(LossContract):
    spec = "text/mlm"

    def make(self, **facts: Any) -> Any:
        return super().make(vocabulary=VOCABULARY, **facts)

    def method(self, dtype: torch.dtype = torch.float64, **more: Any) -> Method:
        torch.manual_seed(0)
        branches = {"text": {"views": "*"}, "hidden": {"views": "*", "of": "text", "tap": "masked"}}
        data = {"branches": branches, "terms": {"it": {"loss": self.node, "query": "hidden", **more}}}
        facts = {"text": {"vocabulary": VOCABULARY}}
        return Method.from_data(data, {"text": Tokens()}, facts=facts).to(dtype)

    def batch(self, count: int = 6, dtype: torch.dtype = torch.float64, without: Sequence[str] = ()) -> Batch:
        """Its two anchors; the toy encoder's dtype is its weights'."""
        whole = spans(count, 1)
        return Batch(whole.sample, {n: v for n, v in whole.views.items() if "anchor" in n})


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
