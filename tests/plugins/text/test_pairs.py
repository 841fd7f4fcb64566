"""Views of columns, of titles and of spans; what is done to tokens."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
import torch

from contrapose import ConfigError, build
from contrapose.errors import DataError
from contrapose.types import Sample, View
from contrapose_text.cutoff import cut_off
from contrapose_text.modality import Text
from contrapose_text.texts import Columns, Marked

COLUMNS = {"question": "Who made it?", "answer": "A joiner of Bath", "wrong": ""}
WORDS = [f"w{i}" for i in range(5000)]


def views(node: Any, text: Any, seed: int = 0) -> list[View]:
    return list(build("view", node)(Sample(0, {"text": text}), np.random.default_rng(seed)))


def texts(node: Any, text: Any, seed: int = 0) -> dict[str, str]:
    return {v.name: getattr(v.data, "text", v.data) for v in views(node, text, seed)}


def test_several_columns_are_one_text_that_remembers_them() -> None:
    text = Text().load({"question": " Who made it?", "answer": b"A joiner of Bath", "wrong": None}, None)
    assert text == "Who made it?\nA joiner of Bath"
    assert isinstance(text, Columns)
    again = pickle.loads(pickle.dumps(text))
    assert again.columns == text.columns == COLUMNS
    assert type(Text().load({"question": "Who?"}, None)) is str


def test_a_column_for_each_slot() -> None:
    text = Columns(COLUMNS)
    slots = {"anchor": "question", "positive": "answer", "negative": "wrong"}
    node = {"use": "text/columns", "slots": slots, "prefixes": {"anchor": "query: "}}
    assert texts(node, text) == {"anchor": "query: Who made it?", "positive": "A joiner of Bath"}
    assert texts({"use": "text/column", "name": "answer"}, text) == {"": "A joiner of Bath"}
    with pytest.raises(DataError, match=r"^no text in wrong$"):
        texts({"use": "text/column", "name": "wrong"}, text)
    with pytest.raises(ConfigError, match=r"modalities\.text has no column 'answr'; did you mean 'answer'"):
        texts({"use": "text/columns", "slots": {"anchor": "answr"}}, text)
    with pytest.raises(ConfigError, match="the text has one column; name several"):
        texts(node, "Who made it?")
    with pytest.raises(ConfigError, match="there is no slot 'anchr'; did you mean 'anchor'"):
        build("view", {**node, "prefixes": {"anchr": "query: "}})


@pytest.mark.parametrize(
    ("text", "short", "long"),
    [
        ("Oak chair\n\nIt has four legs. And arms.", "Oak chair", "It has four legs. And arms."),
        ("It has four legs. And arms! Or not?", "It has four legs.", "And arms! Or not?"),
        ("椅子です。木でできています。", "椅子です。", "木でできています。"),
        ("Oak chair", None, "Oak chair"),
        ("Version 1.5 of it.", None, "Version 1.5 of it."),
    ],
)
def test_a_title_and_what_follows(text: str, short: str | None, long: str) -> None:
    assert texts("text/short-long", text) == ({"anchor": short} if short else {}) | {"positive": long}


def place(span: str) -> tuple[int, int]:
    """Where a span begins and ends; it is made of successive words."""
    numbers = [int(word[1:]) for word in span.split()]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    return numbers[0], numbers[0] + len(numbers)


def test_spans_are_where_and_as_long_as_declutrs() -> None:
    lengths: dict[str, list[int]] = {"anchor": [], "positive": []}
    for seed in range(150):
        made = views("text/spans", " ".join(WORDS), seed)
        where = {v.name: place(getattr(v.data, "text", v.data)) for v in made}
        assert len(where) == 6
        (a, b), (c, d) = where["anchor_0"], where["anchor_1"]
        assert b <= c or d <= a, "anchors are apart"
        for v in made:
            first, last = where[v.name]
            kind, anchor = v.name.split("_")[:2]
            assert v.meta == {"span": int(anchor)}
            lengths[kind].append(last - first)
            begin, end = where[f"anchor_{anchor}"]
            assert first <= end
            assert last >= begin, "touches its anchor, overlaps it, or lies within"
    for kind, mean in {"anchor": 4 / 6, "positive": 2 / 6}.items():
        assert min(lengths[kind]) >= 32
        assert max(lengths[kind]) < 512
        assert np.mean(lengths[kind]) == pytest.approx(32 + mean * 480, rel=0.05)


def test_spans_of_short_documents_are_shorter() -> None:
    for count in (1, 2, 7, 40, 500):
        for seed in range(20):
            made = texts({"use": "text/spans", "anchors": 3}, " ".join(WORDS[:count]), seed)
            assert len(made) == 9
            assert all(1 <= len(t.split()) <= max(1, count // 6) for t in made.values())
        plain = texts({"use": "text/spans", "anchors": 3, "mask": 0}, " ".join(WORDS[:count]))
        assert plain == texts({"use": "text/spans", "anchors": 3}, " ".join(WORDS[:count])), (
            "what is masked moves no span"
        )
    with pytest.raises(ConfigError, match=r"shortest \(600\) is above longest"):
        build("view", {"use": "text/spans", "shortest": 600})


def test_shuffled_tokens_are_the_texts_and_marks_stay(text: Text) -> None:
    book = "a small round table of dark oak with three legs"
    whole = text.collate([book])["ids"][0]
    made = [views("text/shuffle", book, seed)[0].data for seed in range(30)]
    ids = text.collate(made)["ids"]
    assert torch.equal(ids.sort(dim=1).values, whole.sort().values.expand(30, -1))
    assert (ids[:, 0] == whole[0]).all(), "[CLS]"
    count = int(text.collate([book])["mask"].sum())
    assert (ids[:, count:] == whole[count:]).all()
    assert len({tuple(row) for row in ids.tolist()}) == 30
    assert torch.equal(text.collate(made[:1])["ids"], ids[:1]), "a row is that of its text, whatever the others"
    assert "cut" not in text.collate(made)
    assert text.preview(made[0]) == {"text/plain": f"{book} [tokens shuffled]"}


def test_views_of_words_come_before_those_of_tokens() -> None:
    both = [{"use": "text/delete", "rate": 0.5}, "text/shuffle", {"use": "text/cutoff", "tokens": 0.1}]
    generator = [build("view", node) for node in both]
    sample = Sample(0, {"text": "oak chair"})
    rng = np.random.default_rng(0)
    for part in generator:
        sample = Sample(0, {"text": part(sample, rng)[0].data})
    mark = sample.data["text"]
    assert isinstance(mark, Marked)
    assert (mark.shuffled, mark.tokens, mark.features) == (True, 0.1, 0.2)
    for name in ("delete", "swap", "crop", "prefix", "short-long", "spans"):
        with pytest.raises(ConfigError, match="they come after the views that change words"):
            views(f"text/{name}", mark)


def cut(seeds: list[int], **shares: float) -> dict[str, torch.Tensor]:
    share = {name: torch.full((len(seeds),), shares.get(name, 0.0)) for name in ("tokens", "features")}
    return {"seed": torch.tensor(seeds), **share}


def test_cutoff_sets_whole_entries_or_whole_tokens_to_zero() -> None:
    lengths = torch.tensor([10, 4, 7] * 40)
    mask = torch.arange(12) < lengths[:, None]
    ones, seeds = torch.ones(120, 12, 20), list(range(120))
    features = cut_off(ones, mask, **cut(seeds, features=0.2)) == 0
    assert (features.all(dim=1) == features.any(dim=1)).all(), "an entry goes in all tokens of a text"
    assert (features.any(dim=1).sum(dim=1) == 4).all()
    tokens = cut_off(ones, mask, **cut(seeds, tokens=0.3)) == 0
    assert (tokens.all(dim=2) == tokens.any(dim=2)).all()
    gone = tokens.any(dim=2)
    assert torch.equal(gone.sum(dim=1), torch.tensor([3, 1, 2] * 40))
    assert not (gone & ~mask).any()
    for found, count, wanted in ((features.any(dim=1), 20, 0.2), (gone[lengths == 10], 10, 0.3)):
        assert (found.float().mean(dim=0)[:count] - wanted).abs().max() < 0.2, "any of them, by another seed"
    narrow = cut_off(ones[:, :10], mask[:, :10], **cut(seeds, tokens=0.3, features=0.2)) == 0
    assert torch.equal(narrow, (features | tokens)[:, :10]), "what fills up a row changes nothing"


@pytest.mark.parametrize("pooling", ["mean", "cls", "first-last"])
def test_an_encoder_cuts_off_what_it_is_told(text: Text, pooling: str) -> None:
    torch.manual_seed(0)
    node = {"use": "text/transformer", "layers": 2, "width": 32, "pooling": pooling}
    encoder = build("encoder", node, **text.facts()).eval()
    names = ["A corner sofa with an ottoman of green velvet", "Bed", "Oak chair"]
    plain = encoder(text.collate(names))["pooled"]
    marks = [Marked(name, seed, features=0.25) for seed, name in enumerate(names)]
    batch = text.collate([*marks[:2], names[2]])
    made = encoder(batch)["pooled"]
    assert (made[:2] - plain[:2]).abs().max(dim=1).values.min() > 1e-3
    torch.testing.assert_close(made[2], plain[2])
    torch.testing.assert_close(encoder(text.collate([marks[1]]))["pooled"][0], made[1])
    seen: list[torch.Tensor] = []
    with encoder.net.encoder.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0])):
        encoder(text.collate(marks[:1]))
    assert ((seen[0] == 0).all(dim=1).sum(), (seen[0] == 0).any(dim=1).sum()) == (8, 8)
    torch.testing.assert_close(encoder(text.collate(names))["pooled"], plain), "no hook stays"
    encoder.train()
    encoder(batch)["pooled"].sum().backward()
    assert all(p.grad.isfinite().all() for p in encoder.parameters() if p.grad is not None)
