"""Decoders, by name, behind one function: so many samples from here on, at the file's own rate, and nothing stays open."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np

from contrapose.errors import DataError, PluginError
from contrapose_audio.recording import Recording, Wave

SLACK = 0.1
"""Seconds by which a file may end before it says: lossy codecs' headers count whole packets."""

SETTLES = 1.0
"""Seconds before a part from which MP3 is decoded: its frames take bits from some twenty before, without which they are silence."""

FORMATS = ("mov", "mp4", "matroska", "webm", "avi", "mpeg", "mpegts", "ogg", "asf", "flv", "wav", "mp3", "flac", "aac")
SAFE = {"format_whitelist": ",".join(FORMATS), "protocol_whitelist": "file,pipe"}
"""What a container may be told to be by its content: some kinds would open addresses and further files (hls, concat, sdp)."""


def decode(recording: Recording, start: int, count: int) -> Wave:
    """Samples ``start`` to ``start + count`` of every channel, float32 (C, count), at the rate of the source.

    Raises ``DataError`` for what can't be decoded or ends too early, ``PluginError`` where the decoder isn't installed.
    """
    if isinstance(recording.source, np.ndarray):
        return recording.source[:, start : start + count]
    try:
        made = DECODERS[recording.decoder](recording, start, count)
    except (DataError, PluginError):
        raise
    except Exception as error:  # each library has its own
        said = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"{recording.name}: {recording.decoder} can't decode it: {said[:200]}") from None
    missing = count - made.shape[1]
    if missing > SLACK * recording.found or not made.size:
        has, says = start + made.shape[1], recording.frames
        raise DataError(f"{recording.name}: damaged, as it has {says} samples, but only {has} can be decoded")
    return np.pad(made, ((0, 0), (0, missing))) if missing else made


def _soundfile(recording: Recording, start: int, count: int) -> Wave:
    import soundfile

    with soundfile.SoundFile(opened(recording.source)) as file:
        before = min(start, int(SETTLES * recording.found)) if file.format == "MP3" else 0
        file.seek(start - before)
        made = file.read(before + count, dtype="float32", always_2d=True)
        return np.ascontiguousarray(made[before:].T)


def _pyav(recording: Recording, start: int, count: int, seek: bool = True) -> Wave:
    """By timestamps: from a second before the first sample that is wanted, as codecs need some packets to settle."""
    import av

    rate = recording.found
    with av.open(opened(recording.source), options=SAFE) as file:
        stream = file.streams.audio[0]
        floats = av.AudioResampler(format="fltp")
        origin = (stream.start_time or 0) * float(stream.time_base)
        if start and seek:
            before = max(0.0, start / rate - SETTLES)
            try:
                file.seek(int((origin + before) / float(stream.time_base)), stream=stream, backward=True)
            except av.FFmpegError:  # some short FLAC files
                return _pyav(recording, start, count, seek=False)
        made, end = np.zeros((stream.codec_context.channels, count), np.float32), 0
        for frame in file.decode(stream):
            at = start + end if frame.pts is None else round((float(frame.pts * frame.time_base) - origin) * rate)
            for part in floats.resample(frame):
                block = part.to_ndarray()
                low, high = max(at, start), min(at + block.shape[1], start + count)
                if low < high:
                    made[:, low - start : high - start] = block[:, low - at : high - at]
                    end = max(end, high - start)
            if end == count:
                break
        return made[:, :end]


def _torchcodec(recording: Recording, start: int, count: int) -> Wave:
    more = ", and FFmpeg's shared libraries (apt-get install ffmpeg)"
    try:
        from torchcodec.decoders import AudioDecoder
    except (ImportError, OSError) as error:
        raise missing("torchcodec", error, more) from error
    source = recording.source
    try:
        decoder = AudioDecoder(source if isinstance(source, bytes) else str(source))
    except RuntimeError as error:
        if "libtorchcodec" not in str(error):
            raise
        raise missing("torchcodec", error, more) from error
    origin = decoder.metadata.begin_stream_seconds_from_header or 0.0
    low, high = origin + start / recording.found, origin + (start + count + 1) / recording.found
    found = decoder.get_samples_played_in_range(low, high)
    skipped = max(0, start - round((found.pts_seconds - origin) * recording.found))
    return found.data[:, skipped : skipped + count].numpy()


DECODERS: dict[str, Callable[[Recording, int, int], Wave]] = {
    "soundfile": _soundfile,
    "pyav": _pyav,
    "torchcodec": _torchcodec,
}


def opened(source: Any) -> Any:
    """What a library opens."""
    return io.BytesIO(source) if isinstance(source, bytes) else str(source)


def missing(package: str, error: Exception, more: str = "") -> PluginError:
    """What to say of a decoder that can't be imported."""
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return PluginError(
        f"decoder: {package} can't be imported ({reason}): pip install {package}{more}, or set decoder: soundfile on the modality"
    )
