"""Three sounds that are computed, for the pictures of views: plucked strings, chirps, drums."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

RATE, SECONDS = 16000, 2.0

Sound = NDArray[np.float32]


def _strings(rng: np.random.Generator) -> Sound:
    """Four strings after each other, by the algorithm of Karplus and Strong (1983)."""
    made = np.zeros(int(RATE * SECONDS))
    for i, hertz in enumerate((196.0, 247.0, 294.0, 392.0)):
        start, period = int(0.4 * i * RATE), round(RATE / hertz)
        string = rng.uniform(-1, 1, period)
        heard = []
        for _ in range(-(-(len(made) - start) // period)):
            heard.append(string)
            string = 0.498 * (string + np.roll(string, -1))
        made[start:] += np.concatenate(heard)[: len(made) - start]
    return _level(made)


def _chirps(rng: np.random.Generator) -> Sound:
    """Rising whistles, as a bird's."""
    time = np.arange(int(RATE * SECONDS)) / RATE
    made = 0.01 * rng.normal(size=len(time))
    for start in (0.1, 0.5, 0.75, 1.3, 1.6):
        at = (time - start) / 0.2
        sweep = 2 * np.pi * (2000 * (time - start) + 4000 * (time - start) ** 2 / 0.4)
        made += np.where((at > 0) & (at < 1), np.sin(np.pi * at.clip(0, 1)) ** 2 * np.sin(sweep), 0)
    return _level(made)


def _drums(rng: np.random.Generator) -> Sound:
    """A low drum and a bright one in turn."""
    time = np.arange(int(RATE * SECONDS)) / RATE
    made = np.zeros(len(time))
    for i in range(8):
        since = time - 0.25 * i
        struck = np.where(since >= 0, np.exp(-since.clip(0) / (0.08 if i % 2 == 0 else 0.03)), 0)
        low = np.sin(2 * np.pi * (60 * since + 8 * np.exp(-since.clip(0) / 0.03)))
        made += struck * (low if i % 2 == 0 else 0.5 * rng.normal(size=len(time)))
    return _level(made)


def _level(made: NDArray[np.float64]) -> Sound:
    return (0.5 * made / np.abs(made).max()).astype(np.float32)


def sounds() -> dict[str, Sound]:
    """The sounds by name, float32 (samples,) at ``RATE``, the same each time."""
    return {
        name: make(np.random.default_rng(0))
        for name, make in (("Plucked strings", _strings), ("Chirps", _chirps), ("Drums", _drums))
    }
