"""What a sound is before a view asks for samples of it: where it lies, how long it is, and at what rate it is wanted."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from contrapose.errors import DataError
from contrapose_audio.arguments import Decoder

Wave = NDArray[np.float32]
"""A stretch of sound: float32 (C, samples), full scale at 1."""

MOST_CHANNELS = 64

FINEST = 640
"""Phases of a resampling filter, at most: enough for 11,025 Hz to 16,000 Hz and all usual rates to be exact."""


@dataclass(frozen=True)
class Recording:
    """A sound that isn't decoded yet, as long and in as many channels as it is wanted.

    ``source`` is a file (a path, or its bytes), or the samples themselves, float32 (C, frames). ``frames`` are those of a channel
    at the source's own rate ``found``, in Hz; ``rate`` and ``channels`` are what ``read`` gives. Where the source has another
    number of channels, their mean is taken, as often as wanted. ``name`` is what messages call it, ``decoder`` what reads a file.
    """

    source: bytes | Path | Wave
    frames: int
    found: int
    rate: int
    channels: int = 1
    name: str = "a sound"
    decoder: Decoder = "soundfile"

    @cached_property
    def ratio(self) -> Fraction:
        """Samples of the source for each one wanted; a rate that is no ratio of small numbers is met to a millionth."""
        return Fraction(self.found, self.rate).limit_denominator(FINEST)

    def __len__(self) -> int:
        return math.ceil(self.frames / self.ratio)

    @property
    def duration(self) -> float:
        """Seconds."""
        return len(self) / self.rate

    def read(self, start: int = 0, count: int | None = None) -> Wave:
        """Samples ``start`` to ``start + count`` at ``rate``, float32 (channels, count); no more of the file is decoded.

        They are those that the whole recording would have there. Raises ``DataError`` for what can't be decoded, or isn't finite.
        """
        count = len(self) - start if count is None else count
        if not 0 <= start <= start + count <= len(self):
            raise DataError(f"{self.name}: samples {start} to {start + count} of {len(self)}")
        if self.ratio == 1:
            return self._mixed(self._decoded(start, count))
        # Resampling goes by blocks of `denominator` samples: begin with a whole one, some filter's length before.
        filtered = resampler(self.ratio)
        down, up = self.ratio.numerator, self.ratio.denominator
        around = math.ceil(filtered.width / down) + 1
        block = max(0, start // up - around)
        first, last = block * down, (-(-(start + count) // up) + around) * down
        wave = self._mixed(self._decoded(first, min(last, self.frames) - first))
        made = filtered(torch.from_numpy(wave)).numpy()
        skipped = start - block * up
        return np.ascontiguousarray(made[:, skipped : skipped + count])

    def _decoded(self, start: int, count: int) -> Wave:
        from contrapose_audio.decode import decode

        return decode(self, start, count)

    def _mixed(self, wave: Wave) -> Wave:
        if not np.isfinite(wave).all():
            raise DataError(f"{self.name}: holds samples that are no numbers (NaN or infinite)")
        if len(wave) == self.channels:
            return wave
        return np.repeat(wave.mean(axis=0, keepdims=True, dtype=np.float32), self.channels, axis=0)


@lru_cache(maxsize=16)
def resampler(ratio: Fraction) -> Any:
    """torchaudio's resampling filter by ``ratio`` samples to one, with ``width``, its reach in samples to either side."""
    from torchaudio.transforms import Resample

    return Resample(ratio.numerator, ratio.denominator)


def of_samples(samples: Any, rate: int, channels: int, name: str = "a sound") -> Recording:
    """Samples in memory at ``rate``, (frames,) or (C, frames), floats or int16, as a recording. Raises ``DataError``."""
    wave = np.asarray(samples)
    if wave.ndim == 1:
        wave = wave[None]
    floats = np.issubdtype(wave.dtype, np.floating)
    if wave.ndim != 2 or not (floats or wave.dtype == np.int16):
        raise DataError(
            f"{name}: samples are floats or int16, (samples,) or (C, samples), not {wave.dtype} {wave.shape}"
        )
    if not wave.size:
        raise DataError(f"{name}: it has no samples")
    if wave.shape[0] > MOST_CHANNELS:
        raise DataError(f"{name}: {wave.shape[0]} channels; samples are (C, samples), channels first")
    scaled = wave.astype(np.float32) if floats else wave.astype(np.float32) / np.float32(32768)
    return Recording(scaled, wave.shape[1], rate, rate, channels, name)


def recording_of(data: Any, rate: int) -> Recording:
    """A recording as it is, and a wave that another view made, float32 (C, samples) at ``rate``, as one. Raises ``DataError``."""
    if isinstance(data, Recording):
        return data
    wave = to_wave(data)
    return of_samples(wave, rate, len(wave))


def to_wave(data: Any) -> Wave:
    """A view's data as a wave, float32 (C, samples); of (samples,) one channel. Raises ``DataError`` for anything else."""
    if isinstance(data, Recording):
        raise DataError("a recording isn't decoded until a view chooses a part of it: begin with audio/crop")
    wave = np.asarray(data, dtype=np.float32)
    wave = wave[None] if wave.ndim == 1 else wave
    if wave.ndim != 2:
        what = "a log-mel (C, mels, frames)" if wave.ndim == 3 else f"an array {wave.shape}"
        raise DataError(f"expected a wave (C, samples), not {what}: what changes waves stands before audio/log-mel")
    return wave
