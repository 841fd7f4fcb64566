"""Sounds that tests write: tones that tell their second by their pitch, and whatever files hold them."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

RATE = 16000


def tone(seconds: float = 1.0, hertz: float = 440.0, rate: int = RATE, loud: float = 0.3) -> NDArray[np.float32]:
    """A sine, float32 (samples,)."""
    time = np.arange(round(seconds * rate)) / rate
    return (loud * np.sin(2 * np.pi * hertz * time)).astype(np.float32)


def noise(seconds: float = 1.0, seed: int = 0, rate: int = RATE, loud: float = 0.1) -> NDArray[np.float32]:
    """White noise, float32 (samples,)."""
    made = np.random.default_rng(seed).normal(0, loud, round(seconds * rate))
    return made.clip(-1, 1).astype(np.float32)


def file(wave: Any, rate: int = RATE, kind: str = "WAV", subtype: str | None = None) -> bytes:
    """The bytes of a sound file of (samples,) or (C, samples)."""
    made = io.BytesIO()
    soundfile.write(made, np.asarray(wave).T, rate, format=kind, subtype=subtype)
    return made.getvalue()
