"""Views that belong together: columns of one row, a title and what follows, spans of one document."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from contrapose import Sample, View, view
from contrapose.errors import ConfigError, DataError, did_you_mean
from contrapose_text.texts import Columns, marked, words_of

Count = Annotated[int, Field(ge=1)]
SENTENCE = re.compile(r"(?<=[.!?])\s+|(?<=[。！？])")


@view("text")
def column(text: str, rng: np.random.Generator, name: str) -> str:
    """One of a text's columns, ``modalities: {text: {columns: [question, answer]}}``. Not random.

    A row in which it is blank has no such view.
    """
    found = _columns(text, (name,))[name]
    if not found:
        raise DataError(f"no text in {name}")
    return found


class ColumnPairs:
    """Pairs and triples of one's own: a view of each of several columns (a question, its answer, a wrong one). Not random.

    A row in which a column is blank has no view in that slot.

    Args:
        slots: by the method's slot the column that fills it: ``{anchor: question, positive: answer, negative: wrong}``.
        prefixes: by slot what comes before the text, as E5 has it: ``{anchor: "query: ", positive: "passage: "}``.
    """

    modality = "text"

    def __init__(self, slots: dict[str, str], prefixes: dict[str, str] | None = None) -> None:
        if not slots:
            raise ConfigError("name at least one slot and its column", ("slots",))
        self.slots, self.prefixes = slots, prefixes or {}
        self.view_names = tuple(slots)
        if unknown := next((slot for slot in self.prefixes if slot not in slots), None):
            raise ConfigError(f"there is no slot {unknown!r}{did_you_mean(unknown, slots)}", ("prefixes",))

    def __call__(self, sample: Sample, rng: np.random.Generator) -> list[View]:
        """A view for each slot of which the column isn't blank."""
        columns = _columns(sample.data["text"], self.slots.values())
        texts = {slot: columns[name] for slot, name in self.slots.items()}
        return [View(slot, "text", self.prefixes.get(slot, "") + text) for slot, text in texts.items() if text]

    def __repr__(self) -> str:
        return f"columns({self.slots})"


class ShortLong:
    """A text's title and its body: its first line, or its first sentence where there is one line, and all that follows.

    The first is ``anchor``, the second ``positive`` (as E5 and GTE pair titles and passages). Not random. A text of one
    sentence has no anchor.
    """

    modality = "text"
    view_names = ("anchor", "positive")

    def __call__(self, sample: Sample, rng: np.random.Generator) -> list[View]:
        """The two views, or ``positive`` alone."""
        text: str = sample.data["text"]
        words_of(text)
        short, _, long = text.partition("\n")
        if not long.strip():
            short, *rest = SENTENCE.split(text, maxsplit=1)
            long = rest[0] if rest else ""
        if not long.strip():
            return [View("positive", "text", text)]
        return [View("anchor", "text", short), View("positive", "text", long.strip())]

    def __repr__(self) -> str:
        return "short-long"


class Spans:
    """Spans of a long document (DeCLUTR, Giorgi et al., 2021, section 3.2, and the authors' sample_anchor_positive_pairs).

    Anchors are apart from each other, their lengths Beta(4, 2) between the shortest and the longest; the ``positives`` of each
    begin somewhere from before it to its end, so that they touch it, overlap it or lie within, their lengths Beta(2, 4). The column
    ``span`` of a view is the number of its anchor. Lengths are in words; what is longer than the modality's ``max_length`` tokens
    is cut. Tokens of the anchors are masked as ``text/mask`` does it, for the loss ``text/mlm`` (section 3.3).

    A document that is too short for anchors apart, of fewer than 2 x anchors x longest words, has shorter spans.

    Args:
        anchors: per document; they are ``anchor_0``, ``anchor_1``, ...
        positives: per anchor; those of the first are ``positive_0_0``, ``positive_0_1``, ...
        shortest: words of a span, at least.
        longest: words of a span, at most.
        mask: probability for a token of an anchor to be masked; 0 where nothing is to predict them.
    """

    modality = "text"

    def __init__(
        self,
        anchors: Count = 2,
        positives: Count = 2,
        shortest: Count = 32,
        longest: Count = 512,
        mask: Annotated[float, Field(ge=0, lt=1)] = 0.15,
    ) -> None:
        if shortest > longest:
            raise ConfigError(f"shortest ({shortest}) is above longest ({longest})", ("shortest",))
        self.anchors, self.positives, self.shortest, self.longest, self.mask = (
            anchors,
            positives,
            shortest,
            longest,
            mask,
        )
        names = [f"positive_{a}_{p}" for a in range(anchors) for p in range(positives)]
        self.view_names = (*(f"anchor_{a}" for a in range(anchors)), *names)

    def __call__(self, sample: Sample, rng: np.random.Generator) -> list[View]:
        """All views, whatever the document's length."""
        words = words_of(sample.data["text"])
        longest = max(1, min(self.longest, len(words) // (2 * self.anchors)))
        shortest = min(self.shortest, longest)

        def length(a: float, b: float) -> int:
            return int(rng.beta(a, b) * (longest - shortest) + shortest)

        made = []
        starts: list[int] = []
        for a in range(self.anchors):
            starts = starts or list(range(0, len(words) - longest + 1, longest))
            if len(starts) // (self.anchors - a) < self.anchors - a:  # else its neighbours may leave none for the next
                place = int(rng.choice([0, len(starts) - 1]))
            else:
                place = int(rng.integers(len(starts)))
            size = length(4, 2)
            start = starts[place] + int(rng.integers(longest - size + 1))
            del starts[max(0, place - 1) : place + 2]
            made.append(self._span(f"anchor_{a}", words, start, size, a))
            for p in range(self.positives):
                near = length(2, 4)
                first, last = max(0, start - near), min(start + size, len(words) - near)
                made.append(self._span(f"positive_{a}_{p}", words, int(rng.integers(first, last + 1)), near, a))
        if not self.mask:
            return made
        anchors = self.view_names[: self.anchors]
        return [replace(v, data=marked(v.data, rng, masked=self.mask)) if v.name in anchors else v for v in made]

    def _span(self, name: str, words: Sequence[str], start: int, size: int, anchor: int) -> View:
        return View(name, "text", " ".join(words[start : start + size]), {"span": anchor})

    def __repr__(self) -> str:
        return f"spans({self.anchors} x {self.positives})"


def _columns(text: Any, wanted: Any) -> Mapping[str, str]:
    """A text's columns. Raises ``ConfigError`` where it has none of that name."""
    if not isinstance(text, Columns):
        words_of(text)
        raise ConfigError("the text has one column; name several: modalities: {text: {columns: [question, answer]}}")
    if unknown := next((name for name in wanted if name not in text.columns), None):
        raise ConfigError(f"modalities.text has no column {unknown!r}{did_you_mean(unknown, text.columns)}")
    return text.columns
