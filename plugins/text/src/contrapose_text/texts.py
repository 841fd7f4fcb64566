"""What a text is as loaded and as a view: words, perhaps of several columns, perhaps with what is to be done to its tokens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from contrapose.errors import ConfigError


class Columns(str):
    """A text made of several columns, a line for each that isn't blank, which remembers them: ``columns``, by name."""

    columns: Mapping[str, str]

    def __new__(cls, columns: Mapping[str, str]) -> Self:
        """The text of these columns."""
        made = super().__new__(cls, "\n".join(text for text in columns.values() if text))
        made.columns = dict(columns)
        return made

    def __reduce__(self) -> tuple[Any, ...]:
        return Columns, (self.columns,)


@dataclass(frozen=True)
class Marked:
    """A text, and what is to be done once it has tokens.

    Collation shuffles them where ``shuffled``, and masks each with probability ``masked``; an encoder sets the embeddings of a
    share ``tokens`` of them to zero, and a share ``features`` of the embeddings' entries, one choice for all tokens of a text. All
    is drawn by ``seed``.
    """

    text: str
    seed: int
    shuffled: bool = False
    tokens: float = 0.0
    features: float = 0.0
    masked: float = 0.0

    def __str__(self) -> str:
        said = ["tokens shuffled"] * self.shuffled
        said += [f"{self.masked:.0%} of its tokens masked"] * bool(self.masked)
        said += [f"{share:.0%} of its {what} cut off" for what, share in self.cut.items() if share]
        return f"{self.text} [{', '.join(said)}]" if said else self.text

    @property
    def cut(self) -> dict[str, float]:
        """The shares of what is cut off."""
        return {"tokens": self.tokens, "features": self.features}


def marked(text: str | Marked, rng: np.random.Generator, **marks: Any) -> Marked:
    """``text`` with marks added to those that it has."""
    whole = text if isinstance(text, Marked) else Marked(text, 0)
    return replace(whole, seed=int(rng.integers(2**62)), **marks)


def words_of(text: str | Marked) -> list[str]:
    """What whitespace parts. Raises ``ConfigError`` for a text that was marked: its tokens are those of all its words."""
    if isinstance(text, Marked):
        raise ConfigError(
            "text/shuffle, text/mask and text/cutoff are about tokens: they come after the views that change words"
        )
    return text.split()
