"""Masked tokens, for masked language modelling (BERT, Devlin et al., 2019, section 3.1): which are hidden, and behind what."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer, pre_tokenizers
from torch import Tensor

from contrapose.errors import ConfigError

MASKED, REPLACED = 0.8, 0.1
"""Of the tokens that are chosen, so many are masked, so many become any token; the others stay as they are."""

NONE = -1
"""Fills up the places of a text that has fewer masked tokens than another of its batch."""

_NAMES = ("[MASK]", "<mask>")
_UNUSED = "ÿ"
"""How byte-level tokenizers write the byte FF, which is in no UTF-8 text."""

Ids = NDArray[np.int64]


def mask_of(tokenizer: Tokenizer) -> int:
    """The id that stands for a masked token: the tokenizer's own, or, in a byte-level one, a byte that no text has.

    So a tokenizer that is trained on a corpus needs no further token. Raises ``ConfigError``.
    """
    names: tuple[str, ...] = _NAMES
    if isinstance(tokenizer.pre_tokenizer, pre_tokenizers.ByteLevel):
        names = (*names, _UNUSED)
    found = next((id for name in names if (id := tokenizer.token_to_id(name)) is not None), None)
    if found is None:
        raise ConfigError(f"the tokenizer has no token for what is masked, neither {' nor '.join(_NAMES)}")
    return found


def hide(ids: Ids, places: Ids, rate: float, seed: int, mask: int, vocabulary: int) -> Ids:
    """Choose each of the ``places`` of ``ids`` (L,) with probability ``rate`` and hide it, in place; gives those chosen, sorted.

    Of them 80 % become ``mask``, 10 % any token of the ``vocabulary``, and 10 % stay.
    """
    rng = np.random.default_rng([seed, 1])  # of other draws than the order of shuffled tokens
    chosen = places[rng.random(len(places)) < rate]
    how = rng.random(len(chosen))
    ids[chosen[how < MASKED]] = mask
    replaced = chosen[(how >= MASKED) & (how < MASKED + REPLACED)]
    ids[replaced] = rng.integers(vocabulary, size=len(replaced))
    return chosen


def collated(found: Sequence[tuple[Ids, Ids]]) -> dict[str, Tensor]:
    """``place`` and ``token`` (n, P) int64 of the masked tokens and what they were, text by text; ``NONE`` fills up."""
    most = max(len(places) for places, _ in found)
    made = np.full((2, len(found), most), NONE)
    for row, both in enumerate(found):
        for part, values in zip(made, both, strict=True):
            part[row, : len(values)] = values
    return {"place": torch.from_numpy(made[0]), "token": torch.from_numpy(made[1])}


def states_at(states: Tensor, masked: dict[str, Any] | None) -> Tensor:
    """The ``states`` (n, L, D) of masked tokens, (n, P, D), whatever where ``place`` is ``NONE``; (n, 0, D) without ``masked``."""
    if masked is None:
        return states[:, :0]
    place = masked["place"].clamp(min=0)
    return states.gather(1, place[:, :, None].expand(-1, -1, states.shape[2]))
