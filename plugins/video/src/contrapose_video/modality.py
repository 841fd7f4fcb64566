"""The modality: from a manifest's cell to footage, from clips to a batch, to a sheet of frames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from contrapose.errors import DataError
from contrapose.types import Suggestion
from contrapose_video.arguments import Decoder, Positive
from contrapose_video.footage import RATE, Footage, within
from contrapose_video.pixels import animation, evenly, sheet, to_clip, to_frames
from contrapose_video.probe import EXTENSIONS, footage


class Video:
    """Videos: `Footage` as loaded, uint8 (T, H, W, 3) as decoded for a view, float32 (3, T, H, W) in [0, 1] in a batch.

    Args:
        decoder: what reads files: decord, torchcodec (which needs FFmpeg's shared libraries) or pyav. All give the same frames.
        fps: frames a second of folders of pictures and of arrays, which don't say.
    """

    name = "video"
    dtype = torch.float32
    extensions = EXTENSIONS

    def __init__(self, decoder: Decoder = "decord", fps: Positive = RATE) -> None:
        self.decoder = decoder
        self.fps = fps

    def load(self, cells: Mapping[str, Any], root: Path) -> Footage:
        """One cell: a path below ``root`` of a video, a GIF or a folder of pictures, the bytes of a file, or uint8 (T, H, W, 3).

        Raises ``DataError`` for one that is broken, empty, or has no pictures.
        """
        if len(cells) != 1:
            raise DataError(f"a video comes from one column, not from {len(cells)} ({', '.join(cells)})")
        return footage(next(iter(cells.values())), root, self.decoder, self.fps)

    def collate(self, items: Sequence[Any]) -> Tensor:
        """Clips of one size to float32 (n, 3, T, H, W) in [0, 1]. Raises ``DataError`` where sizes differ."""
        clips = [to_clip(item) for item in items]
        sizes = sorted({tuple(clip.shape[1:]) for clip in clips})
        if len(sizes) > 1:
            one, other = (f"{t} frames of {w} x {h} pixels" for t, h, w in (sizes[0], sizes[-1]))
            raise DataError(
                f"clips of {one} and of {other} can't be one batch: give them one size by video/frames, and as many frames"
            )
        return torch.stack(clips)

    def preview(self, data: Any) -> dict[str, bytes]:
        """``image/png``, a sheet of nine frames, and ``image/gif``."""
        if isinstance(data, Footage):
            numbers = evenly(len(data), 16)
            frames, interval = data.frames(numbers, short=min(within(data.size, 96))), data.duration / len(numbers)
        else:
            frames, interval = to_frames(data), 0.1
        return {"image/png": sheet(frames[evenly(len(frames))]), "image/gif": animation(frames, interval)}

    def suggest(self, columns: Mapping[str, Sequence[Any]], root: Path, small: bool) -> Suggestion | None:
        """The first column of video files or of their bytes, with random clips, cropped."""
        name = next((name for name, values in columns.items() if _are_videos(values, root)), None)
        if name is None:
            return None
        if small:
            return Suggestion([name], _views({"frames": 8, "fps": 8, "side": 80}, 64), "video/small")
        views = _views({"frames": 16, "stride": 2, "side": 128}, 112)
        return Suggestion([name], views, {"use": "video/torchvision", "name": "r2plus1d_18"})


def _views(clip: dict[str, Any], size: int) -> dict[str, Any]:
    return {"use": [{"use": "video/clip", **clip}, {"use": "video/crop", "size": size}]}


def _are_videos(values: Sequence[Any], root: Path) -> bool:
    if all(isinstance(v, str) for v in values):
        return sum(v.lower().endswith(EXTENSIONS) for v in values) > 0.9 * len(values)
    return all(isinstance(v, bytes) and _is_video(v, root) for v in values[:4])


def _is_video(cell: bytes, root: Path) -> bool:
    try:
        return not cell.startswith(b"GIF8") and len(footage(cell, root, "pyav", RATE)) > 1  # such may be a picture
    except DataError:
        return False
