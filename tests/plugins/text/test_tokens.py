"""Tokens kept in a memory map: the same as made anew, made once, shared, and done without where they are gone."""

from __future__ import annotations

import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import contrapose as cp
from contrapose.errors import ContraposeWarning
from contrapose_text import tokens
from contrapose_text.modality import Text
from contrapose_text.texts import Columns, Marked

NEW = "a text that nobody has seen before"


def fitted(names: list[str], cache: Path, **more: Any) -> Text:
    text = Text(max_length=16, cache=str(cache), **more)
    text.fit([{"name": name} for name in names])
    return text


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The texts that a tokenizer is asked for."""
    asked: list[str] = []
    real = tokens.tokenised

    def count(tokenizer: Any, texts: Any, length: int) -> Any:
        asked.extend(texts)
        return real(tokenizer, texts, length)

    monkeypatch.setattr("contrapose_text.modality.tokenised", count)
    monkeypatch.setattr("contrapose_text.tokens.tokenised", count)
    return asked


def test_what_is_kept_is_what_would_be_made(names: list[str], tmp_path: Path, counted: list[str]) -> None:
    kept, plain = fitted(names, tmp_path), Text(max_length=16)
    plain.load_state_dict({"tokenizer": kept.state_dict()["tokenizer"]})
    assert counted == names, "once each"
    counted.clear()
    items = [*names[:50], Marked(names[3], 7, shuffled=True, masked=0.5), NEW, names[0]]
    found = kept.collate(items)
    assert counted == [NEW]
    assert kept.lengths(items[:50]) == plain.lengths(items[:50])
    expected = plain.collate(items)
    for part in ("ids", "mask"):
        assert torch.equal(found[part], expected[part])
    assert torch.equal(found["masked"]["token"], expected["masked"]["token"])
    assert isinstance(kept._kept.find(names[:1])[0], np.memmap), "no copy"


def test_columns_are_kept_one_by_one_and_as_one(tmp_path: Path, counted: list[str]) -> None:
    text = Text(max_length=16, cache=str(tmp_path))
    rows = [{"a": "who made it", "b": "a joiner"}, {"a": "and when", "b": None}]
    text.fit(rows)
    loaded = [text.load(row, Path()) for row in rows]
    assert isinstance(loaded[0], Columns)
    counted.clear()
    text.collate(["who made it", "a joiner", "and when", *loaded])
    assert not counted


def test_it_is_made_once_for_one_tokenizer_and_the_same_texts(
    names: list[str], tmp_path: Path, counted: list[str]
) -> None:
    first = fitted(names, tmp_path)
    counted.clear()
    again = fitted(names, tmp_path)
    assert not counted
    assert first.state_dict() == again.state_dict()
    for other in (fitted(names[:-1], tmp_path), fitted(names, tmp_path, vocabulary=300)):
        assert other.state_dict()["tokens"] != first.state_dict()["tokens"]
        assert torch.equal(other.collate(names[:9])["ids"], _anew(other).collate(names[:9])["ids"])
    assert len([*tmp_path.iterdir()]) == 3, "and nothing half made"


def _anew(text: Text) -> Text:
    plain = Text(max_length=16)
    plain.load_state_dict({"tokenizer": text.state_dict()["tokenizer"]})
    return plain


def test_a_worker_and_a_resumed_run_open_it_anew(names: list[str], tmp_path: Path, counted: list[str]) -> None:
    kept = fitted(names, tmp_path)
    kept.collate(names[:2])
    sent = pickle.dumps(kept)
    assert len(sent) < len(kept.state_dict()["tokenizer"]) + 10_000, "its arrays aren't sent"
    resumed = Text(max_length=16, cache=str(tmp_path))
    resumed.load_state_dict(kept.state_dict())
    counted.clear()
    for other in (pickle.loads(sent), resumed):
        assert torch.equal(other.collate(names[:9])["ids"], kept.collate(names[:9])["ids"])
    assert not counted


def test_without_it_texts_are_tokenised_as_they_come(names: list[str], tmp_path: Path) -> None:
    kept = fitted(names, tmp_path / "cache")
    ids, state = kept.collate(names[:9])["ids"], kept.state_dict()
    for name in ("../" + state["tokens"], "/etc", "", state["tokens"][:-1] + "g"):
        strange = Text(max_length=16, cache=str(tmp_path / "cache"))
        strange.load_state_dict({**state, "tokens": name})
        assert strange._kept is None
        assert torch.equal(strange.collate(names[:9])["ids"], ids)
    folder = tmp_path / "cache" / state["tokens"]
    (folder / "first.npy").write_bytes(b"damaged")
    late = Text(max_length=16, cache=str(tmp_path / "cache"))
    late.load_state_dict(state)
    with pytest.warns(ContraposeWarning, match="can't be read, and are made anew"):
        assert torch.equal(late.collate(names[:9])["ids"], ids)
    shutil.rmtree(folder)
    gone = Text(max_length=16, cache=str(tmp_path / "cache"))
    gone.load_state_dict(state)
    assert torch.equal(gone.collate(names[:9])["ids"], ids)
    (tmp_path / "file").write_text("")
    with pytest.warns(ContraposeWarning, match="can't write the cache .*; going on without"):
        assert "tokens" not in fitted(names, tmp_path / "file").state_dict()


def test_a_run_is_the_same_with_it_by_workers_and_in_buckets(tmp_path: Path) -> None:
    rows = [f"{'very ' * (i % 7)}{wood} chair" for i, wood in enumerate(["oak", "ash", "elm", "yew"] * 9)]
    (tmp_path / "rows.csv").write_text("name\n" + "\n".join(rows))

    def losses(**text: Any) -> str:
        config = {
            "data": str(tmp_path / "rows.csv"),
            "modalities": {"text": {"columns": "name", "vocabulary": 300, "max_length": 24, **text}},
            "views": {"text": "text/dropout"},
            "encoders": {"text": {"use": "text/bag", "width": 8}},
            "method": "text/simcse",
            "train": {
                "epochs": 2,
                "batch_size": 6,
                "buckets": {"of": "text", "window": 3},
                "threads": 1,
                "device": "cpu",
            },
        }
        run = cp.train(config, out=tmp_path / f"run{len(text)}", set=[f"train.workers={len(text)}"], quiet=True)
        lines = (run.dir / "metrics.csv").read_text().splitlines()
        at = lines[0].split(",").index("loss")
        return ",".join(line.split(",")[at] for line in lines[1:])

    assert losses() == losses(cache=str(tmp_path / "cache"))


@pytest.mark.parametrize("part", ["ids", "start.npy", "first.npy"])
def test_a_damaged_one_is_done_without(names: list[str], tmp_path: Path, part: str) -> None:
    text = fitted(names, tmp_path)
    plain = Text(max_length=16)
    plain.load_state_dict({"tokenizer": text.state_dict()["tokenizer"]})
    file = tmp_path / text.state_dict()["tokens"] / part
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 8 * 4])
    text.load_state_dict(text.state_dict())
    with pytest.warns(ContraposeWarning, match="can't be read, and are made anew"):
        found = text.collate(names)
    assert torch.equal(found["ids"], plain.collate(names)["ids"])


@pytest.mark.parametrize(
    "text",
    [
        "word" + 3000 * " " + "another word",
        1200 * "-" + " a chair",
        "a   " + 60 * "b   ",
        "chair " * 100_000,
        100_000 * "x",
        "chair" + 10**6 * " ",
    ],
)
def test_no_more_of_a_text_is_left_out_than_its_last_tokens(names: list[str], text: str) -> None:
    """What is read of it at first may give too few: blanks that a tokenizer drops, or a rule that is one token."""
    modality = Text(max_length=16)
    modality.fit([{"name": name} for name in [*names, *3 * ["-" * 600]]])
    whole = modality._fitted().encode(text.strip())
    found = modality.collate([text.strip()])
    assert found["ids"][0].tolist() == whole.ids
    assert found["mask"][0].tolist() == [bool(seen) for seen in whole.attention_mask]


def test_a_word_is_never_cut(bert: Path) -> None:
    """Of a beginning of it a tokenizer may make what it wouldn't of the whole: here a word of 200 letters is unknown."""
    modality = Text(tokenizer=str(bert), max_length=16)
    text = "a " * 200 + 200 * "b" + " a"
    short = 450 * " " + text[300:]
    for made in (text, short):
        whole = modality._fitted().encode(made)
        assert modality.collate([made])["ids"][0].tolist() == whole.ids
    assert modality._fitted().token_to_id("[UNK]") in modality.collate([450 * " " + 200 * "b"])["ids"][0]
