"""Odd texts through every view and into a batch: each is handled, or told in one line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from contrapose import build
from contrapose.errors import DataError
from contrapose.plugins import registry
from contrapose.types import Sample
from contrapose_text.modality import Text

ODD = {
    "1 MB of words": "word " * 210_000,
    "1 MB of a word": "x" * 1_050_000,
    "1 MB that ends like a file": "word " * 210_000 + "readme.txt",
    "only emoji": "🪑🛋️👩‍👩‍👧‍👦 🇳🇴",
    "right to left": "كرسي خشبي \u202eمع أربع أرجل\u202c קטן",
    "zero width": "\u200b\u200d\ufeff",
    "null bytes": "oak\x00chair \x07",
    "combining": "o\u0301\u0302\u0303" * 50,
    "marks": "[CLS] [PAD] [SEP]",
}
BROKEN = {
    "empty": ("", "empty text"),
    "spaces": (" \t\r\n\u3000\u00a0\u2029", "empty text"),
    "invalid UTF-8": (b"oak \xff chair", "not UTF-8 at byte 4"),
    "cut UTF-8": ("Stühle".encode()[:3], "not UTF-8 at byte 2"),
    "lone surrogate": ("oak \udc80", "not UTF-8 at character 4"),
    "UTF-16": ("oak".encode("utf-16"), "not UTF-8 at byte 0"),
}
ARGUMENTS = {"text/column": {"name": "b"}, "text/columns": {"slots": {"anchor": "a", "positive": "b"}}}
VIEWS = [o.name for o in registry().offers("view") if o.spec.modality == "text"]


@pytest.mark.parametrize("what", ODD)
def test_odd_texts_go_through_every_view(text: Text, what: str) -> None:
    for name in VIEWS:
        cells = {"a": ODD[what], **({"b": "oak chair"} if name in ARGUMENTS else {})}
        loaded = text.load(cells, Path())
        made = build("view", {"use": name, **ARGUMENTS.get(name, {})})(
            Sample(0, {"text": loaded}), np.random.default_rng(0)
        )
        batch = text.collate([v.data for v in made])
        assert made, name
        assert batch["ids"].shape == (len(made), 32)
        assert batch["mask"].any(dim=1).all()
        assert (batch["ids"] < text.facts()["vocabulary"]).all()


@pytest.mark.parametrize("what", BROKEN)
def test_broken_texts_are_told_in_one_line(what: str) -> None:
    cell, said = BROKEN[what]
    with pytest.raises(DataError, match=said) as error:
        Text().load({"name": cell}, Path())
    assert len(str(error.value).splitlines()) == 1
    assert len(str(error.value)) < 300


def test_odd_texts_train_a_tokenizer_and_an_encoder_reads_them() -> None:
    modality = Text(vocabulary=300, max_length=16)
    modality.fit([{"name": t} for t in ODD.values()])
    encoder = build("encoder", {"use": "text/transformer", "layers": 1, "width": 8, "heads": 1}, **modality.facts())
    pooled = encoder(modality.collate([modality.load({"name": t}, Path()) for t in ODD.values()]))["pooled"]
    assert pooled.isfinite().all()
    assert pooled.shape == (len(ODD), 8)
    assert torch.equal(modality.collate(["oak"])["ids"], modality.collate(["OAK"])["ids"])
