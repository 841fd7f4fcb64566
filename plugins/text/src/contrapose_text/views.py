"""View generators: a text (str) and an rng to a text. Words are what whitespace parts; no view leaves a text without any.

In a script without spaces a text is one word, which ``delete``, ``swap`` and ``crop`` leave as it is.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field

from contrapose import view
from contrapose.errors import ConfigError

Rate = Annotated[float, Field(ge=0, lt=1)]
Share = Annotated[float, Field(gt=0, le=1)]


@view("text")
def dropout(text: str, rng: np.random.Generator) -> str:
    """The text itself (SimCSE, Gao et al., 2021): two such views differ by the dropout of the encoder that reads them.

    So the encoder needs dropout (0.1 by default) and must be in train mode, as it is in training.
    """
    return text


@view("text")
def evaluation(text: str, rng: np.random.Generator) -> str:
    """The text itself. Not random."""
    return text


@view("text")
def delete(text: str, rng: np.random.Generator, rate: Rate = 0.1) -> str:
    """Leave out each word with probability ``rate``; where that leaves none, keep one at random (EDA, Wei & Zou, 2019)."""
    words = text.split()
    kept = rng.random(len(words)) >= rate
    kept[rng.integers(len(words))] |= not kept.any()
    return " ".join(word for word, keep in zip(words, kept, strict=True) if keep)


@view("text")
def swap(text: str, rng: np.random.Generator, rate: Rate = 0.1) -> str:
    """Exchange two random words, ``rate`` times the number of words often and at least once (EDA, Wei & Zou, 2019)."""
    words = text.split()
    if len(words) > 1:
        for _ in range(max(1, int(rate * len(words)))):
            i, j = rng.choice(len(words), 2, replace=False)
            words[i], words[j] = words[j], words[i]
    return " ".join(words)


@view("text")
def crop(text: str, rng: np.random.Generator, low: Share = 0.5, high: Share = 1.0) -> str:
    """Keep a random span of successive words (Contriever, Izacard et al., 2022), its length uniform between two shares.

    Args:
        low: the shortest span, as a share of the words; at least one word is kept. Contriever's is 0.05.
        high: the longest. Contriever's is 0.5, of passages of 256 tokens.
    """
    if low > high:
        raise ConfigError(f"low ({low}) is above high ({high})", ("low",))
    words = text.split()
    length = max(1, round(rng.uniform(low, high) * len(words)))
    start = rng.integers(len(words) - length + 1)
    return " ".join(words[start : start + length])
