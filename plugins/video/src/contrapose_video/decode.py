"""Decoders, by name, behind one function: the frames of these numbers, each of this size, and nothing stays open.

All give the same frames, within what codecs and scalers round. A file is opened for each call and closed after it, in one thread:
decord's readers grow in memory, lock up after a fork and mix frames up when they are kept or read by several threads (its issues
1, 208, 294, 314), and a loader has its workers already.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from contrapose.errors import DataError, PluginError
from contrapose_video.footage import Footage, Frames
from contrapose_video.probe import SAFE

Numbers = NDArray[np.int64]


def decode(footage: Footage, numbers: Numbers, height: int, width: int) -> Frames:
    """The frames of ``numbers`` (T,), increasing, as uint8 (T, height, width, 3) RGB.

    Raises ``DataError`` for what can't be decoded, ``PluginError`` where the decoder isn't installed.
    """
    source = footage.source
    if isinstance(source, np.ndarray):
        return _resized(source[numbers], height, width)
    if isinstance(source, tuple):
        return np.stack([_picture(source[i], height, width) for i in numbers])
    try:
        made = DECODERS[footage.decoder](footage, numbers, height, width)
    except (DataError, PluginError):
        raise
    except Exception as error:  # each library has its own, and ctypes' besides
        said = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"{footage.name}: {footage.decoder} can't decode it: {said[:200]}") from None
    if made.shape != (len(numbers), height, width, 3):
        raise DataError(f"{footage.name}: {footage.decoder} gave {tuple(made.shape)}, not {len(numbers)} frames")
    return made


def _decord(footage: Footage, numbers: Numbers, height: int, width: int) -> Frames:
    try:
        import decord
    except (ImportError, OSError) as error:
        raise _missing("decord", error) from error
    decord.logging.set_level(decord.logging.QUIET)
    source = footage.source
    scaled = {} if (height, width) == footage.size else {"width": width, "height": height}
    try:
        reader = decord.VideoReader(_opened(source), ctx=decord.cpu(0), num_threads=1, **scaled)
        if len(reader) == len(footage):  # its own count decides what a number means
            return reader.get_batch(numbers.tolist()).asnumpy()
    except (decord.DECORDError, RuntimeError):
        pass  # truncated files, and some pictures of 8 to 72 pixels, which it can't copy
    return _pyav(footage, numbers, height, width)


def _torchcodec(footage: Footage, numbers: Numbers, height: int, width: int) -> Frames:
    more = ", and FFmpeg's shared libraries (apt-get install ffmpeg)"
    try:
        from torchcodec.decoders import VideoDecoder
    except (ImportError, OSError) as error:
        raise _missing("torchcodec", error, more) from error
    source = footage.source
    try:
        decoder = VideoDecoder(
            source if isinstance(source, bytes) else str(source),
            dimension_order="NHWC",
            num_ffmpeg_threads=1,
            seek_mode="exact",
        )
    except RuntimeError as error:
        if "libtorchcodec" not in str(error):
            raise
        raise _missing("torchcodec", error, more) from error
    if len(decoder) == len(footage):
        found = decoder.get_frames_at(numbers.tolist())
        shown = found.pts_seconds.numpy() - (decoder.metadata.begin_stream_seconds or 0.0)
        if np.abs(shown - footage.times[numbers]).max() < footage.interval / 2:
            return _resized(found.data.numpy(), height, width)
    # Of some files it gives a neighbour of the frame that was asked for, and tells so by its time.
    return _pyav(footage, numbers, height, width)


def _pyav(footage: Footage, numbers: Numbers, height: int, width: int) -> Frames:
    import av

    from contrapose_video.packets import frames

    stored = (width, height) if footage.turns % 2 else (height, width)
    with av.open(_opened(footage.source), options=SAFE) as file:
        made = frames(file, footage, numbers, *stored)
    return np.rot90(made, footage.turns, axes=(1, 2)).copy() if footage.turns else made


DECODERS: dict[str, Callable[[Footage, Numbers, int, int], Frames]] = {
    "decord": _decord,
    "torchcodec": _torchcodec,
    "pyav": _pyav,
}


def _opened(source: Any) -> Any:
    return io.BytesIO(source) if isinstance(source, bytes) else str(source)


def _missing(package: str, error: Exception, more: str = "") -> PluginError:
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return PluginError(
        f"decoder: {package} can't be imported ({reason}): pip install {package}{more}, or set decoder: pyav on the modality"
    )


def _picture(path: Path, height: int, width: int) -> Frames:
    try:
        with Image.open(path, formats=("JPEG", "PNG", "WEBP", "BMP")) as picture:
            rgb = picture.convert("RGB")
            return np.asarray(
                rgb if rgb.size == (width, height) else rgb.resize((width, height), Image.Resampling.BICUBIC)
            )
    except Exception as error:  # a broken file may raise anything in pillow
        raise DataError(f"{path.name}: can't be read: {' '.join(str(error).split())}") from None


def _resized(frames: Frames, height: int, width: int) -> Frames:
    if frames.shape[1:3] == (height, width):
        return frames
    sized = [Image.fromarray(frame).resize((width, height), Image.Resampling.BICUBIC) for frame in frames]
    return np.stack([np.asarray(frame) for frame in sized])
