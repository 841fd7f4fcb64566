"""Sounds to hear and to see: WAV files and pictures of log-mels, by the standard library and numpy alone."""

from __future__ import annotations

import io
import struct
import wave
import zlib

import numpy as np
import torch
from numpy.typing import NDArray

from contrapose_audio.mel import LogMel, LogMels
from contrapose_audio.recording import Wave

MOST = 256
"""Frames of a picture: longer sounds are thinned, the loudest of neighbours stays."""
TALL, WIDE = 4, 2
"""Pixels of a band and of a frame."""
RANGE = 10.0
"""Of natural logarithms, from white to black, at most: 43 dB of powers, 87 of magnitudes."""


def wav(samples: Wave, rate: int) -> bytes:
    """A WAV file, 16 bits, of samples (C, n); what goes beyond full scale is clipped."""
    file = io.BytesIO()
    with wave.open(file, "wb") as written:
        written.setnchannels(len(samples))
        written.setsampwidth(2)
        written.setframerate(rate)
        written.writeframes((samples.T.clip(-1, 1) * 32767).round().astype("<i2").tobytes())
    return file.getvalue()


def picture(data: Wave | LogMels, rate: int = 16000) -> bytes:
    """A PNG of a log-mel (C, mels, frames), or of that of a wave (C, samples): low below, the louder the darker; channels on top of
    each other.
    """
    if data.ndim == 2:
        least = 1024
        data = np.pad(data, ((0, 0), (0, max(0, least - data.shape[1]))))
        data = LogMel("cola", rate).of(torch.from_numpy(data)).numpy()
    bands = np.concatenate([channel[::-1] for channel in data])
    if (step := -(-bands.shape[1] // MOST)) > 1:
        bands = np.pad(bands, ((0, 0), (0, -bands.shape[1] % step)), mode="edge")
        bands = bands.reshape(len(bands), -1, step).max(axis=2)
    shown = np.nan_to_num(bands)
    top = shown.max()
    shade = ((top - shown) / max(min(RANGE, top - shown.min()), 1e-6)).clip(0, 1)
    return png((255 * shade).astype(np.uint8).repeat(TALL, axis=0).repeat(WIDE, axis=1))


def png(grey: NDArray[np.uint8]) -> bytes:
    """A PNG file of greys (H, W)."""
    height, width = grey.shape
    rows = np.concatenate(
        [np.zeros((height, 1), np.uint8), grey], axis=1
    ).tobytes()  # each begins with its filter, none

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
