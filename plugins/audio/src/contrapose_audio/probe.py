"""From a manifest's cell to a recording: what kind of file it is, how long, at what rate. Nothing is decoded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from contrapose.data.cells import cell_name, cell_path
from contrapose.errors import DataError
from contrapose_audio.arguments import Decoder
from contrapose_audio.decode import SAFE, opened
from contrapose_audio.recording import MOST_CHANNELS, Recording, of_samples

EXTENSIONS = (
    ".wav",
    ".flac",
    ".ogg",
    ".oga",
    ".opus",
    ".mp3",
    ".aif",
    ".aiff",
    ".au",
    ".caf",
    ".w64",
    ".m4a",
    ".aac",
    ".wma",
)
"""Of what libsndfile reads, by the names that such files usually have, and of sounds without pictures that need PyAV."""

SLOWEST, FASTEST = 100, 400_000
"""Rates in Hz that a file may say it has."""
MOST_FRAMES = 2**40
"""A damaged Ogg file has no known end, which libsndfile says by a number beyond all others."""


def recording(cell: Any, root: Path, decoder: Decoder, rate: int, channels: int) -> Recording:
    """A path below ``root``, the bytes of a file, or samples at ``rate`` (an array). Raises ``DataError`` for what is no sound."""
    name = cell_name(cell, "a sound")
    if isinstance(cell, np.ndarray):
        return of_samples(cell, rate, channels, name)
    if isinstance(cell, bytes):
        return of_file(cell, name, decoder, rate, channels)
    if not isinstance(cell, str):
        raise DataError(f"a sound is a path, the bytes of a file or samples, not {type(cell).__name__}")
    path = cell_path(cell, root)
    try:
        if not path.is_file():
            raise DataError(f"{path}: no such file" if not path.exists() else f"{path}: no file")
    except (OSError, ValueError) as error:
        raise DataError(f"{path!r}: {error}") from None
    return of_file(path, name, decoder, rate, channels)


def of_file(source: bytes | Path, name: str, decoder: Decoder, rate: int, channels: int) -> Recording:
    """A file by its header: libsndfile's, or, of what that can't open, FFmpeg's, which then decodes it too."""
    if not (source if isinstance(source, bytes) else source.stat().st_size):
        raise DataError(f"{name}: an empty file")
    found = _sndfile(source)
    if isinstance(found, str):
        found = _container(source, name, found)
        decoder = "pyav" if decoder == "soundfile" else decoder
    frames, own, count = found
    if not frames or not count:
        raise DataError(f"{name}: it has no samples")
    if frames > MOST_FRAMES:
        raise DataError(f"{name}: damaged, as it doesn't say how long it is")
    if not SLOWEST <= own <= FASTEST or count > MOST_CHANNELS:
        raise DataError(f"{name}: {count} channels at {own:,} Hz are no sound")
    return Recording(source, frames, own, rate, channels, name, decoder)


def _sndfile(source: bytes | Path) -> tuple[int, int, int] | str:
    """Frames, rate and channels, or why libsndfile can't tell."""
    import soundfile

    try:
        with soundfile.SoundFile(opened(source)) as file:
            return file.frames, file.samplerate, file.channels
    except (soundfile.SoundFileError, OSError, ValueError, TypeError) as error:  # TypeError: a .raw file has no header
        said = " ".join(str(getattr(error, "error_string", None) or error).split())
        return said.rstrip(".") or type(error).__name__


def _container(source: bytes | Path, name: str, refusal: str) -> tuple[int, int, int]:
    """Of the first sound in a container, by the times of its packets."""
    try:
        import av
    except ImportError:
        raise DataError(
            f"{name}: not a sound that libsndfile can read: {refusal} (an M4A, or the sound of a video: pip install av)"
        ) from None
    try:
        with av.open(opened(source), options=SAFE) as file:
            if not file.streams.audio:
                raise DataError(f"{name}: it has no sound, only {', '.join(sorted({s.type for s in file.streams}))}")
            stream = file.streams.audio[0]
            if stream.codec_context is None:
                raise DataError(f"{name}: its sound is of a codec that FFmpeg doesn't know")
            rate, channels = stream.codec_context.sample_rate, stream.codec_context.channels
            end, start = 0, stream.start_time or 0
            try:
                for packet in file.demux(stream):
                    if packet.size and packet.pts is not None:
                        end = max(end, packet.pts + (packet.duration or 0) - start)
            except (OSError, ValueError):  # the rest of the file is damaged; av's errors are of these kinds too
                pass
            return round(end * float(stream.time_base) * rate), rate, channels
    except DataError:
        raise
    except (av.FFmpegError, OSError, ValueError) as error:
        reason = " ".join(str(getattr(error, "strerror", None) or error).split())
        raise DataError(f"{name}: not a sound that libsndfile ({refusal}) or FFmpeg ({reason}) can read") from None
