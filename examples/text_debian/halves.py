"""The two halves of a description as views: what a package says in short, and at length.

contrapose train ... --plugin examples/text_debian/halves.py

The modality reads both columns into one text, whose first line is the short one. Evaluation sees the texts as they are.
"""

from __future__ import annotations

import numpy as np

from contrapose import view


@view("text")
def short_half(text: str, rng: np.random.Generator) -> str:
    """The first line. Not random."""
    return text.partition("\n")[0]


@view("text")
def long_half(text: str, rng: np.random.Generator) -> str:
    """All that follows the first line. Not random."""
    return text.partition("\n")[2]
