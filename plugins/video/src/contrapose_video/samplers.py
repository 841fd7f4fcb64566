"""When clips begin: each function draws seconds, and knows nothing of decoders.

``room`` is how much later than the first frame a clip may begin, in seconds, so that it still lies within the video; 0 where it
only just does, or doesn't.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Starts = NDArray[np.float64]


def uniform(room: float, rng: np.random.Generator, clips: int = 1) -> Starts:
    """``clips`` moments, each anywhere: rho clips of Feichtenhofer et al., CVPR 2021."""
    return rng.random(clips) * room


def decreasing(room: float, rng: np.random.Generator) -> Starts:
    """Two moments whose distance has a density that falls linearly to 0 at ``room`` (CVRL, Qian et al., CVPR 2021, section 3.2).

    The distance is ``room (1 - sqrt(1 - u))``, a third of ``room`` on average; the first moment is anywhere that leaves place for
    it, and which of the two comes first is tossed, as in the authors' code (``sample_ssl_sequence``).
    """
    apart = room * (1 - math.sqrt(1 - rng.random()))
    first = rng.random() * (room - apart)
    pair = np.array([first, first + apart])
    return pair[::-1].copy() if rng.random() < 0.5 else pair


def neighbours(room: float, rng: np.random.Generator, within: float) -> Starts:
    """Two moments at most ``within`` seconds apart: one anywhere, the other anywhere near it."""
    first = rng.random() * room
    low, high = max(0.0, first - within), min(room, first + within)
    return np.array([first, low + rng.random() * (high - low)])


def spread(room: float, clips: int) -> Starts:
    """``clips`` moments, evenly from the first possible to the last; the one in the middle for 1."""
    return np.linspace(0, room, clips) if clips > 1 else np.array([room / 2])
