"""Randomness keyed by what is drawn for, never by which worker or rank draws it."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from contrapose.types import ident

_ident = lru_cache(maxsize=4096)(ident)


def rng_for(seed: int, epoch: int, sample_id: int, view_name: str) -> np.random.Generator:
    """The generator of one view of one sample in one epoch: the same on every worker, rank and resume."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence((seed, epoch, sample_id, _ident(view_name)))))
