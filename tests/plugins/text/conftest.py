from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

from contrapose_text.modality import Text

FURNITURE = Path(__file__).parents[3] / "examples/data/furniture/furniture.parquet"


@pytest.fixture(scope="session")
def names() -> list[str]:
    """The names of the furniture that trains, 615 of them."""
    table = pq.read_table(FURNITURE, columns=["name", "split"]).to_pylist()
    return [row["name"] for row in table if row["split"] == "train"]


@pytest.fixture(scope="session")
def text(names: list[str]) -> Text:
    """The modality, its tokenizer trained on the names."""
    modality = Text(max_length=32)
    modality.fit([{"name": name} for name in names])
    return modality


@pytest.fixture(scope="session")
def bert(tmp_path_factory: pytest.TempPathFactory, names: list[str]) -> Path:
    """A folder as transformers leaves it: a tiny BERT, as trained on words left out, and its own WordPiece tokenizer."""
    from transformers import BertConfig, BertForMaskedLM, BertTokenizerFast
    from transformers.utils import logging

    words = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    words.normalizer, words.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    marks = ["[UNK]", "[CLS]", "[SEP]", "[MASK]", "[PAD]"]  # a pad that isn't 0
    trainer = trainers.WordPieceTrainer(vocab_size=400, special_tokens=marks, show_progress=False)
    words.train_from_iterator(names, trainer)
    words.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[(mark, words.token_to_id(mark)) for mark in ("[CLS]", "[SEP]")]
    )
    folder = tmp_path_factory.mktemp("bert")
    torch.manual_seed(1)
    config = BertConfig(
        vocab_size=words.get_vocab_size(),
        hidden_size=32,
        num_hidden_layers=3,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=40,
        pad_token_id=4,
    )
    logging.disable_progress_bar()
    BertForMaskedLM(config).save_pretrained(folder)
    BertTokenizerFast(tokenizer_object=words).save_pretrained(folder)
    logging.enable_progress_bar()
    return folder
