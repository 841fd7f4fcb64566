"""Films that tests write: frames that tell their number by how bright they are."""

from __future__ import annotations

import struct
import tempfile
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

STEP = 8
"""Of brightness, from one frame to the next."""


def shades(frames: int, height: int = 32, width: int = 32) -> NDArray[np.uint8]:
    """Frame i as bright as 8 i, but for a band at the left, which is as dark."""
    made = np.empty((frames, height, width, 3), np.uint8)
    made[:] = (np.arange(frames) * STEP % 256)[:, None, None, None]
    made[:, :, : width // 4] = 255 - made[:, :, : width // 4]
    return made


def film(
    frames: int | NDArray[np.uint8] = 30,
    fps: int = 10,
    size: tuple[int, int] = (32, 32),
    codec: str = "mpeg4",
    kind: str = "mp4",
    times: Sequence[float] | None = None,
    sound: bool = False,
    pictures: bool = True,
    options: dict[str, str] | None = None,
) -> bytes:
    """The bytes of a video file; ``times`` are the seconds at which frames are shown, by default even."""
    clip = shades(frames, *size) if isinstance(frames, int) else frames
    folder = tempfile.TemporaryDirectory()
    file = Path(folder.name) / "film"  # faststart reads it again
    with (
        folder,
        av.open(str(file), "w", format=kind, options={"movflags": "faststart"} if kind == "mp4" else {}) as made,
    ):
        if pictures:
            stream = made.add_stream(codec, rate=fps, options=options or {})
            stream.height, stream.width = clip.shape[1:3]
            stream.pix_fmt = "rgb8" if codec == "gif" else "yuv420p"
            if times is not None:
                stream.codec_context.time_base = Fraction(1, 1000)
        tone = made.add_stream("aac", rate=16000, layout="mono") if sound or not pictures else None
        if tone is not None:
            wave = np.zeros((1, 1024), np.float32)
            for i in range(10):
                block = av.AudioFrame.from_ndarray(wave, format="fltp", layout="mono")
                block.sample_rate, block.pts, block.time_base = 16000, i * 1024, Fraction(1, 16000)
                for packet in tone.encode(block):
                    made.mux(packet)
            for packet in tone.encode():
                made.mux(packet)
        if pictures:
            for i, picture in enumerate(clip):
                frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
                if times is not None:
                    frame.pts, frame.time_base = round(times[i] * 1000), Fraction(1, 1000)
                for packet in stream.encode(frame):
                    made.mux(packet)
            for packet in stream.encode():
                made.mux(packet)
        made.close()
        return file.read_bytes()


def numbers(frames: NDArray[np.uint8]) -> list[int]:
    """Which frames of `shades` these are, by the brightness of their middle."""
    middle = frames[:, frames.shape[1] // 2, frames.shape[2] // 2].mean(axis=-1)
    return [round(float(value) / STEP) for value in middle]


def turned(film: bytes, degrees: int) -> bytes:
    """An MP4 whose pictures are to be turned to the right by 90, 180 or 270 degrees to be shown, as phones write them."""
    one = 1 << 16
    a, b = {90: (0, one), 180: (-one, 0), 270: (0, -one)}[degrees]
    made, matrix = bytearray(film), film.index(b"tkhd") + 44
    struct.pack_into(">9i", made, matrix, a, b, 0, -b, a, 0, 0, 0, 1 << 30)
    return bytes(made)
