"""View generators: a text (str) and an rng to a text. Words are what whitespace parts; no view leaves a text without any.

In a script without spaces a text is one word, which ``delete``, ``swap`` and ``crop`` leave as it is.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field

from contrapose import view
from contrapose.errors import ConfigError
from contrapose_text.texts import Marked, marked, words_of

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
def prefix(text: str, rng: np.random.Generator, prefix: str = "query: ") -> str:
    """The text after ``prefix``, by which an encoder knows what it is for (E5, Wang et al., 2022). Not random."""
    if isinstance(text, Marked):
        words_of(text)
    return prefix + text


@view("text")
def delete(text: str, rng: np.random.Generator, rate: Rate = 0.1) -> str:
    """Leave out each word with probability ``rate``; where that leaves none, keep one at random (EDA, Wei & Zou, 2019)."""
    words = words_of(text)
    kept = rng.random(len(words)) >= rate
    kept[rng.integers(len(words))] |= not kept.any()
    return " ".join(word for word, keep in zip(words, kept, strict=True) if keep)


@view("text")
def swap(text: str, rng: np.random.Generator, rate: Rate = 0.1) -> str:
    """Exchange two random words, ``rate`` times the number of words often and at least once (EDA, Wei & Zou, 2019)."""
    words = words_of(text)
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
    words = words_of(text)
    length = max(1, round(rng.uniform(low, high) * len(words)))
    start = rng.integers(len(words) - length + 1)
    return " ".join(words[start : start + length])


@view("text")
def shuffle(text: str, rng: np.random.Generator) -> Marked:
    """The text's tokens in random order (ConSERT, Yan et al., 2021, section 3.2); its marks ([CLS]) stay where they are.

    ConSERT gives tokens each other's positions, which is the same to a transformer that knows order by them alone. It comes after
    the views that change words.
    """
    return marked(text, rng, shuffled=True)


@view("text")
def mask(text: str, rng: np.random.Generator, rate: Rate = 0.15) -> Marked:
    """Some tokens masked, for the loss ``text/mlm`` to predict (BERT, Devlin et al., 2019, section 3.1).

    Each token but the marks ([CLS]) is chosen with probability ``rate``. Of those, 80 % become the tokenizer's mask, 10 % a random
    token, and 10 % stay as they are. It comes after the views that change words.
    """
    return marked(text, rng, masked=rate)


@view("text")
def cutoff(text: str, rng: np.random.Generator, features: Rate = 0.2, tokens: Rate = 0.0) -> Marked:
    """Entries of the tokens' embeddings set to zero, or all those of some tokens (ConSERT, Yan et al., 2021, section 3.2).

    It comes after the views that change words. The encoder does it, in train mode and in eval mode.

    Args:
        features: share of the entries, rounded down; the same for all tokens of a text.
        tokens: share of the tokens, rounded down, marks ([CLS]) among them.
    """
    return marked(text, rng, features=features, tokens=tokens)
