from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

from contrapose import ConfigError, build
from contrapose.types import Sample, ViewGenerator
from contrapose_text.views import crop, delete, dropout, evaluation, swap

TEXT = "a small round table of dark oak with three legs"
WORDS = TEXT.split()
VIEWS: list[Any] = ["dropout", "delete", "swap", "crop", "eval"]


def many(view: Any, text: str = TEXT, draws: int = 400, **arguments: Any) -> list[str]:
    return [view(text, np.random.default_rng(i), **arguments) for i in range(draws)]


@pytest.mark.parametrize("name", VIEWS)
def test_a_view_is_a_function_of_text_and_rng_and_never_empty(name: str) -> None:
    generator = build("view", f"text/{name}")
    assert isinstance(generator, ViewGenerator)
    for text in (TEXT, "chair", "  椅子  ", "a b"):
        sample = Sample(0, {"text": text})
        for seed in range(50):
            made, again = (generator(sample, np.random.default_rng(seed))[0].data for _ in range(2))
            assert made == again
            assert made.strip()


def test_dropout_and_evaluation_change_nothing() -> None:
    odd = "Two  spaces,\na line"
    assert dropout(odd, np.random.default_rng(0)) == evaluation(odd, np.random.default_rng(0)) == odd


def test_delete_leaves_out_each_word_with_its_probability() -> None:
    rate = 0.3
    made = [text.split() for text in many(delete, rate=rate)]
    for words in made:
        order = [WORDS.index(word) for word in words]
        assert order == sorted(order)
    seen = Counter(word for words in made for word in words)
    for word in WORDS:
        assert seen[word] / len(made) == pytest.approx(1 - rate, abs=0.09)  # 4 standard deviations of 400 draws
    assert set(many(delete, rate=0.0)) == {TEXT}
    assert {len(text.split()) for text in many(delete, rate=0.999)} == {1}
    assert set(many(delete, rate=0.999)) == set(WORDS), "the word that stays is any of them"


def test_swap_exchanges_as_many_pairs_as_said() -> None:
    for text in many(swap):
        assert sorted(text.split()) == sorted(WORDS)
        assert sum(a != b for a, b in zip(text.split(), WORDS, strict=True)) == 2
    apart = [sum(a != b for a, b in zip(text.split(), WORDS, strict=True)) for text in many(swap, rate=0.4)]
    assert max(apart) == 8
    assert many(swap, "two words", 3) == ["words two"] * 3
    assert many(swap, "one", 3) == ["one"] * 3


def test_crop_keeps_a_span_of_the_lengths_said_anywhere() -> None:
    spans = [text.split() for text in many(crop, low=0.3, high=0.6)]
    assert all(" ".join(words) in TEXT for words in spans)
    assert {len(words) for words in spans} == {3, 4, 5, 6}
    assert {words[0] for words in spans} >= set(WORDS[:5])
    assert set(many(crop, low=1.0)) == {TEXT}
    assert {len(text.split()) for text in many(crop, low=0.001, high=0.001)} == {1}
    with pytest.raises(ConfigError, match="low"):
        crop(TEXT, np.random.default_rng(0), low=0.9, high=0.2)


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(ConfigError, match="less than 1"):
        build("view", {"use": "text/delete", "rate": 1.0})
