"""Cutoff: some of the tokens' embeddings, or some of their entries, set to zero before the layers (ConSERT, Yan et al., 2021)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from contrapose.draws import keyed_uniform
from contrapose.errors import ConfigError

TOKENS, FEATURES = 0, 1
"""Seeds of the two draws."""


@contextmanager
def cutoff(net: Any, mask: Tensor, cut: Mapping[str, Tensor] | None) -> Iterator[None]:
    """Within it, ``net`` embeds the tokens at ``mask`` (n, L) bool with what ``cut`` says set to zero; as ever where it is None.

    ``cut`` holds (n,) ``seed`` int64, ``tokens`` and ``features`` float, shares in [0, 1). Raises ``ConfigError`` for a network
    that doesn't embed each token once, as one that reads characters or fills texts up inside.
    """
    if cut is None:
        yield
        return
    refusal = f"{type(net).__name__} has no embeddings of tokens that could be cut off: leave text/cutoff out"
    # Where tokens have their positions and types; a model without such a part has embeddings of words alone.
    try:
        embeddings = getattr(net, "embeddings", None) or net.get_input_embeddings()
    except NotImplementedError:
        raise ConfigError(refusal) from None

    def hook(module: Any, inputs: Any, output: Any) -> Tensor:
        if not isinstance(output, Tensor) or output.shape[:2] != mask.shape:
            raise ConfigError(refusal)
        return cut_off(output, mask, **cut)

    with embeddings.register_forward_hook(hook):
        yield


def cut_off(embedded: Tensor, mask: Tensor, seed: Tensor, tokens: Tensor, features: Tensor) -> Tensor:
    """``embedded`` (n, L, D) with int(tokens * count) of a row's tokens, and int(features * D) entries of all of them, at zero."""
    rows = drawn(keyed_uniform(seed, mask.shape[1], TOKENS).masked_fill(~mask, 2.0), tokens, mask.sum(dim=1))
    entries = drawn(keyed_uniform(seed, embedded.shape[2], FEATURES), features, embedded.shape[2])
    return embedded.masked_fill(rows[:, :, None] | entries[:, None, :], 0)


def drawn(uniform: Tensor, share: Tensor, count: Tensor | int) -> Tensor:
    """The int(share * count) smallest of each row of ``uniform`` (n, m), bool (n, m)."""
    rank = uniform.argsort(dim=1).argsort(dim=1)
    wanted: Tensor = (share.double() * count + 1e-6).floor()  # 0.2 * 10 is 2, whatever float32 makes of 0.2
    return rank < wanted[:, None]


def collated(seeds: list[int], tokens: list[float], features: list[float]) -> dict[str, Tensor]:
    """What `cutoff` takes."""
    return {"seed": torch.tensor(seeds), "tokens": torch.tensor(tokens), "features": torch.tensor(features)}
