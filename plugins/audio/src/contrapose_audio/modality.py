"""The modality: from a manifest's cell to a recording, from waves or log-mels to a batch, to something to hear and to see."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from contrapose.errors import DataError
from contrapose.types import Suggestion
from contrapose_audio.arguments import Decoder
from contrapose_audio.preview import picture, wav
from contrapose_audio.probe import EXTENSIONS, FASTEST, MOST_CHANNELS, recording
from contrapose_audio.recording import Recording

Rate = Annotated[int, Field(ge=1000, le=FASTEST)]
Channels = Annotated[int, Field(ge=1, le=MOST_CHANNELS)]

SHOWN = 10
"""Seconds of a recording that are previewed."""


class Audio:
    """Sounds: a `Recording` as loaded, float32 (C, samples) or log-mels (C, mels, frames) as views have them.

    A batch is (n, C, samples) or (n, C, mels, frames), float32; of a view that gives (samples,) C is 1. Full scale is 1; samples
    beyond it are left as they are.

    Args:
        rate: samples a second that views get, in Hz, whatever a file has.
        channels: that views get: 1 mixes down, 2 keeps stereo. Files of another number of channels are mixed down, and repeated.
        decoder: what reads files: soundfile, and PyAV for containers that it can't read (the sound of an MP4), where that is
            installed; torchcodec (which needs FFmpeg's shared libraries); or pyav.
    """

    name = "audio"
    dtype = torch.float32
    extensions = EXTENSIONS

    def __init__(self, rate: Rate = 16000, channels: Channels = 1, decoder: Decoder = "soundfile") -> None:
        self.rate = rate
        self.channels = channels
        self.decoder = decoder

    def load(self, cells: Mapping[str, Any], root: Path) -> Recording:
        """One cell: a path below ``root``, the bytes of a file, or samples at ``rate``, (samples,) or (C, samples).

        Only the header of a file is read. Raises ``DataError`` for one that is broken, empty, or no sound.
        """
        if len(cells) != 1:
            raise DataError(f"a sound comes from one column, not from {len(cells)} ({', '.join(cells)})")
        return recording(next(iter(cells.values())), root, self.decoder, self.rate, self.channels)

    def facts(self) -> dict[str, Any]:
        """``rate`` and ``channels``."""
        return {"rate": self.rate, "channels": self.channels}

    def collate(self, items: Sequence[Any]) -> Tensor:
        """Waves to float32 (n, C, samples), log-mels to (n, C, mels, frames). Raises ``DataError`` where shapes differ."""
        tensors = [_tensor(item) for item in items]
        shapes = sorted({tuple(t.shape) for t in tensors})
        if len(shapes) > 1:
            raise DataError(
                f"sounds of shape {shapes[0]} and {shapes[-1]} can't be one batch: cut them to one length by audio/crop"
            )
        return torch.stack(tensors)

    def preview(self, data: Any) -> dict[str, bytes]:
        """``image/png``, the log-mel, and of a recording or wave ``audio/wav``."""
        if isinstance(data, Recording):
            data = data.read(0, min(len(data), SHOWN * data.rate))
        array = np.asarray(_tensor(data))
        if array.ndim == 3:
            return {"image/png": picture(array)}
        return {"image/png": picture(array, self.rate), "audio/wav": wav(array, self.rate)}

    def suggest(self, columns: Mapping[str, Sequence[Any]], root: Path, small: bool) -> Suggestion | None:
        """The first column of sound files or of their bytes, with COLA's random crops."""
        name = next((name for name, values in columns.items() if self._are_sounds(values, root)), None)
        if name is None:
            return None
        views = {"use": [{"use": "audio/crop", "seconds": 1.0}, "audio/log-mel"]}
        return Suggestion([name], views, {"use": "audio/small", "width": 16 if small else 32})

    def _are_sounds(self, values: Sequence[Any], root: Path) -> bool:
        if all(isinstance(v, str) for v in values):
            return sum(v.lower().endswith(EXTENSIONS) for v in values) > 0.9 * len(values)
        return all(isinstance(v, bytes) and self._is_sound(v, root) for v in values[:4])

    def _is_sound(self, cell: bytes, root: Path) -> bool:
        try:
            return self.load({"cell": cell}, root).decoder == "soundfile"  # what else holds sound may be a video
        except DataError:
            return False


def _tensor(item: Any) -> Tensor:
    if isinstance(item, Recording):
        raise DataError("a recording isn't decoded until a view chooses a part of it: begin with audio/crop")
    tensor = item if isinstance(item, Tensor) else torch.from_numpy(np.ascontiguousarray(item))
    tensor = tensor[None] if tensor.ndim == 1 else tensor
    if tensor.ndim not in (2, 3) or not tensor.is_floating_point():
        raise DataError(
            f"a sound is floats, (samples,), (C, samples) or a log-mel (C, mels, frames), not {tensor.dtype} {tuple(tensor.shape)}"
        )
    return tensor.float()
