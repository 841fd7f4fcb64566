"""From a manifest's cell to footage: what kind of video it is, how large, and when its frames are shown. One frame is decoded."""

from __future__ import annotations

import io
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from contrapose.data.cells import cell_name, cell_path
from contrapose.errors import DataError
from contrapose_video.arguments import Decoder
from contrapose_video.footage import RATE, Footage, of_frames, of_pictures
from contrapose_video.packets import whole

EXTENSIONS = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ogv", ".wmv", ".flv", ".3gp")
PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")
EXACT = ("mov", "mp4", "matroska", "webm", "avi")
"""Containers in which all decoders count alike; of MPEG streams decord and torchcodec give wrong frames, of GIFs decord none."""
FORMATS = (*EXACT, "mpeg", "mpegvideo", "mpegts", "ogg", "asf", "flv", "gif")
SAFE = {"format_whitelist": ",".join(FORMATS), "protocol_whitelist": "file,pipe"}
"""What a file may be told to be by its content: some kinds would open addresses and further files (hls, concat, sdp)."""
MOST_PIXELS = 100_000_000
MOST_FRAMES = 10_000_000


def footage(cell: Any, root: Path, decoder: Decoder, rate: float) -> Footage:
    """A path below ``root`` of a file or of a folder of pictures, the bytes of a file, or uint8 frames (T, H, W, 3).

    ``rate`` is that of pictures and frames. Raises ``DataError`` for what is no video.
    """
    name = cell_name(cell, "a video")
    if isinstance(cell, np.ndarray):
        return of_frames(cell, rate, name)
    if isinstance(cell, bytes):
        return of_file(cell, name, decoder)
    if not isinstance(cell, str):
        raise DataError(f"a video is a path, the bytes of a file or uint8 frames, not {type(cell).__name__}")
    path = cell_path(cell, root)
    try:
        if path.is_dir():
            return _folder(path, name, rate)
        if not path.is_file():
            raise DataError(f"{path}: no such file" if not path.exists() else f"{path}: no file")
    except (OSError, ValueError) as error:
        raise DataError(f"{path!r}: {error}") from None
    return of_file(path, name, decoder)


def of_file(source: bytes | Path, name: str, decoder: Decoder) -> Footage:
    """A video file by its container: the times are those of its packets, so that a truncated one has but what is there."""
    import av

    if not (source if isinstance(source, bytes) else source.stat().st_size):
        raise DataError(f"{name}: an empty file")
    try:
        with av.open(io.BytesIO(source) if isinstance(source, bytes) else str(source), options=SAFE) as file:
            kinds = set(file.format.name.split(","))
            if not file.streams.video:
                raise DataError(f"{name}: it has no pictures{_others(file)}")
            stream = file.streams.video[0]
            if stream.codec_context is None:
                raise DataError(f"{name}: its pictures are of a kind that FFmpeg can't decode")
            height, width = stream.codec_context.height, stream.codec_context.width
            times, timed, keys = _times(file, stream)
            turns = _turns(file, stream) if "mp4" in kinds else 0
    except DataError:
        raise
    except (av.FFmpegError, OSError, ValueError) as error:
        reason = " ".join(str(getattr(error, "strerror", None) or error).split())
        raise DataError(f"{name}: not a video that FFmpeg can read: {reason}") from None
    if not len(times) or not height or not width:
        raise DataError(f"{name}: it has no frames")
    if height * width > MOST_PIXELS:
        raise DataError(f"{name}: {width} x {height} pixels, more than {MOST_PIXELS:,}")
    inexact = not timed or not kinds & set(EXACT)
    chosen: Decoder = "pyav" if inexact or turns else decoder  # decord doesn't turn what it scales
    size = (width, height) if turns % 2 else (height, width)
    return Footage(source, times, size, name, chosen, timed, keys, turns)


def _times(file: Any, stream: Any) -> tuple[NDArray[np.float64], bool, NDArray[np.int64]]:
    """Seconds from the first frame of all packets that hold one, in the order in which they are shown; whether the file says so.

    And which of these are key frames, where it does.
    """
    found = []
    try:
        for packet in whole(file, stream):
            if packet.size and not packet.is_discard:
                found.append((packet.pts, packet.is_keyframe))
                if len(found) > MOST_FRAMES:
                    raise DataError(f"more than {MOST_FRAMES:,} frames")
    except (OSError, ValueError):  # the rest of the file is damaged; av's errors are of these kinds too
        pass
    told = [pts for pts, _ in found if pts is not None]
    ticks = np.unique(np.array(told, dtype=np.float64))
    # AVI has no times of showing: where frames are stored in another order, FFmpeg guesses, and seeking finds others.
    guessed = "avi" in file.format.name and any(after <= before for before, after in pairwise(told))
    if (
        len(ticks) < len(found) or guessed
    ):  # nor do some others say when, or two at one moment: take them as evenly spaced
        return np.arange(len(found)) / float(stream.average_rate or RATE), False, np.empty(0, np.int64)
    keys = np.searchsorted(ticks, np.sort([float(pts) for pts, key in found if key]))
    return (ticks - ticks[:1]) * float(stream.time_base), True, keys


def _turns(file: Any, stream: Any) -> int:
    """By how many quarter turns to the left pictures are to be shown, as phones write it; a decoded frame alone tells it."""
    context = stream.codec_context
    context.thread_type = "NONE"
    try:
        file.seek(stream.start_time or 0, stream=stream)
        first = next(packet for packet in file.demux(stream) if packet.size)
        frame = next(iter([*context.decode(first), *context.decode(None)]), None)
    except (OSError, ValueError, StopIteration):  # damaged: whoever asks for its frames is told
        return 0
    return 0 if frame is None else round(frame.rotation / 90) % 4


def _others(file: Any) -> str:
    kinds = sorted({stream.type for stream in file.streams})
    return f", only {', '.join(kinds)}" if kinds else ""


def _folder(path: Path, name: str, rate: float) -> Footage:
    shown = (p for p in path.iterdir() if p.suffix.lower() in PICTURES and not p.name.startswith("."))
    pictures = sorted((p for p in shown if not p.is_symlink()), key=_numbered)
    if not pictures:
        raise DataError(f"{name}: a folder without pictures ({', '.join(PICTURES)})")
    try:
        with Image.open(pictures[0], formats=("JPEG", "PNG", "WEBP", "BMP")) as first:
            width, height = first.size
    except Exception as error:  # a broken file may raise anything in pillow
        raise DataError(f"{name}: {pictures[0].name} can't be read: {' '.join(str(error).split())}") from None
    if height * width > MOST_PIXELS:
        raise DataError(f"{name}: {width} x {height} pixels, more than {MOST_PIXELS:,}")
    return of_pictures(pictures, (height, width), rate, name)


def _numbered(path: Path) -> tuple[list[str | int], str]:
    """By what is a number in a name, 2 before 10; equal ones by the name itself."""
    parts = re.split(r"([0-9]{1,18})", path.name)
    return [int(part) if i % 2 else part for i, part in enumerate(parts)], path.name
