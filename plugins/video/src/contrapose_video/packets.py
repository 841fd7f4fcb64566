"""Frames by PyAV: by key frames where a file tells enough, else from the first that is wanted on until the last."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contrapose.errors import DataError
from contrapose_video.footage import Footage, Frames

LATEST = 16
"""Frames by which one may come too late: no codec keeps more for reference."""
Sized = Callable[[Any], Frames]


def frames(file: Any, footage: Footage, numbers: NDArray[np.int64], height: int, width: int) -> Frames:
    """The frames of ``numbers`` (T,), increasing, of an open container, as uint8 (T, height, width, 3). Raises ``DataError``.

    In memory they lie plane by plane, as FFmpeg scales them in less than half the time, and as a batch will have them.
    """
    stream = file.streams.video[0]
    stream.thread_type = "NONE"  # a packet is decoded before the next one is given
    sized = _sizer(height, width)
    found = by_key_frames(file, stream, footage, numbers, sized) if stream.codec_context.name == "h264" else None
    return np.stack(in_order(file, stream, footage, numbers, sized) if found is None else found).transpose(0, 2, 3, 1)


def by_key_frames(
    file: Any, stream: Any, footage: Footage, numbers: NDArray[np.int64], sized: Sized
) -> list[Frames] | None:
    """From each key frame that is needed to the last frame that is wanted before the next one, without decoding in vain.

    What no other frame refers to is skipped, unless it is wanted itself: in H.264 each packet says so, and the others don't
    change. None where the file doesn't tell its times and key frames, or a frame doesn't come at the time that its packet told.
    """
    if not footage.timed or not len(footage.keys) or footage.keys[0] > numbers[0]:
        return None
    ticks = (stream.start_time or 0) + np.rint(footage.times / float(stream.time_base)).astype(np.int64)
    before = footage.keys[np.searchsorted(footage.keys, numbers, side="right") - 1]
    found: dict[int, Frames] = {}
    for key in np.unique(before):
        wanted = set(ticks[numbers[before == key]].tolist())
        file.seek(int(ticks[key]), stream=stream)
        for packet in whole(file, stream):
            stream.codec_context.skip_frame = "DEFAULT" if packet.pts in wanted else "NONREF"
            for frame in packet.decode():
                if frame.pts in wanted:
                    wanted.remove(frame.pts)
                    found[frame.pts] = sized(frame)
            if not wanted:
                break
        if wanted:
            stream.codec_context.skip_frame = "DEFAULT"
            file.seek(stream.start_time or 0, stream=stream)
            return None
    return [found[tick] for tick in ticks[numbers].tolist()]


def in_order(file: Any, stream: Any, footage: Footage, numbers: NDArray[np.int64], sized: Sized) -> list[Frames]:
    """By timestamps, or by counting where the file tells none: each is that of its time, or the next where there is none of it.

    A decoder that doesn't know how far frames are out of order gives some too late, so the next is waited for.
    """
    wanted = footage.times[numbers]
    start, near = stream.start_time or 0, 1e-3 * footage.interval
    if numbers[0] > 0 and footage.timed:
        file.seek(start + int(wanted[0] / float(stream.time_base)), stream=stream, backward=True)
    rest = dict(enumerate(wanted.tolist()))
    best: dict[int, tuple[float, Frames]] = {}
    decoded = (frame for packet in whole(file, stream) for frame in packet.decode())
    for count, frame in enumerate(decoded):
        moment = float(footage.times[min(count, len(footage) - 1)])
        if footage.timed and frame.pts is not None:
            moment = (frame.pts - start) * float(stream.time_base)
        for i, due in [*rest.items()]:
            if moment >= due - near and (i not in best or moment < best[i][0]):
                best[i] = moment, sized(frame)
                if moment <= due + near:
                    del rest[i]
        if not rest or (len(best) == len(wanted) and moment > wanted[-1] + LATEST * footage.interval):
            break
    if len(best) < len(wanted):
        raise DataError(f"{footage.name}: damaged, as it has {len(footage)} frames, but not all can be decoded")
    return [best[i][1] for i in range(len(wanted))]


def whole(file: Any, stream: Any) -> Iterator[Any]:
    """The stream's packets but for one that the end of a truncated file cuts in two, which no decoder takes."""
    return (packet for packet in file.demux(stream) if not packet.is_corrupt)


def _sizer(height: int, width: int) -> Sized:
    """From a decoded frame to uint8 (3, height, width)."""
    from av.video.reformatter import VideoReformatter

    scaler = VideoReformatter()  # keeps its tables from frame to frame

    def sized(frame: Any) -> Frames:
        if (frame.height, frame.width) == (height, width):
            pixels = scaler.reformat(frame, format="rgb24", threads=1).to_ndarray()
            return np.asarray(pixels, np.uint8).transpose(2, 0, 1)
        made = scaler.reformat(frame, width, height, "gbrp", interpolation="BILINEAR", threads=1)
        green, blue, red = (np.frombuffer(memoryview(p), np.uint8).reshape(height, -1)[:, :width] for p in made.planes)
        return np.stack([red, green, blue])

    return sized
