"""Previews of samples, small, each in the page once however often it is shown."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable
from typing import Any

import matplotlib.pyplot as plt  # for reading and writing pictures alone: no figure is made
import numpy as np
import torch
from torch.nn import functional as F

from contrapose.data.samples import read_sample, sample_ids
from contrapose.report.preview import Bundle, as_text
from contrapose.types import Modality, Reader

SIDE = 128
"""Pixels of a picture's longer side: a screen with two dots to a point shows it at 64 to 128."""

SMALL, LONGEST = 4_000, 200_000
"""Bytes up to which a picture stays the PNG that it is, and beyond which a sound or drawing is named instead of shown."""

WORDS = 500
"""Characters of a text."""

PICTURES = ("image/png", "image/jpeg", "image/gif")
DRAWN = ("image/svg+xml",)
SOUNDS = ("audio/wav",)


class Previews:
    """What to show of which samples: ``want`` collects, ``tree`` reads each sample once."""

    def __init__(self, reader: Reader, modalities: dict[str, Modality]) -> None:
        self.modalities = modalities
        self._reader = reader
        self._positions = {int(i): p for p, i in enumerate(sample_ids(reader))}
        self._wanted: dict[int, set[str]] = {}

    def want(self, ids: Iterable[int], modalities: Iterable[str] | None = None) -> None:
        """Show these modalities, all if left out, of these samples."""
        names = list(self.modalities if modalities is None else modalities)
        for i in ids:
            self._wanted.setdefault(int(i), set()).update(names)

    def tree(self) -> dict[int, dict[str, Any]]:
        """By sample id and modality: a preview as ``shown`` gives it, or None where the sample lacks the modality."""
        made = {}
        for i, names in sorted(self._wanted.items()):
            sample, failed = read_sample(self._reader, self._positions[i])
            broken = {name: _line(error) for name, error in failed}
            made[i] = {name: self._one(name, sample.data, broken) for name in self.modalities if name in names}
        return made

    def _one(self, name: str, data: Any, broken: dict[str, str]) -> dict[str, str] | None:
        if name in broken:
            return {"words": f"can't be read: {broken[name]}"}
        if name not in data:
            return None
        try:
            return shown(self.modalities[name].preview(data[name]))
        except Exception as error:  # a plugin's fault costs its picture, not the report
            return {"words": f"no preview: {_line(error)}"}


def shown(bundle: Bundle) -> dict[str, str]:
    """A MIME bundle as a page can show it: a ``picture`` and a ``sound`` as data URIs, else ``words``."""
    made = {}
    for mime, content in bundle.items():
        raw = content.encode() if isinstance(content, str) else content
        if mime in PICTURES and "picture" not in made:
            made["picture"] = _uri(*_small(mime, raw))
        elif len(raw) <= LONGEST and mime in DRAWN:
            made["picture"] = _uri(mime, raw)
        elif len(raw) <= LONGEST and mime in SOUNDS:
            made["sound"] = _uri(mime, raw)
    if not made:
        words = as_text(bundle)
        made["words"] = words if len(words) <= WORDS else words[: WORDS - 1] + "…"
    return made


def _small(mime: str, raw: bytes) -> tuple[str, bytes]:
    """A picture of no more than ``SIDE`` a side: as it is if it is small in every sense, else a JPEG on white."""
    picture = _decoded(raw)
    longest = max(picture.shape[:2])
    if longest <= SIDE and len(raw) <= SMALL:
        return mime, raw
    if longest > SIDE:
        size = [max(1, round(side * SIDE / longest)) for side in picture.shape[:2]]
        planes = torch.from_numpy(picture).permute(2, 0, 1)[None]
        picture = F.interpolate(planes, size, mode="bilinear", antialias=True)[0].permute(1, 2, 0).clamp(0, 1).numpy()
    file = io.BytesIO()
    plt.imsave(file, np.ascontiguousarray(picture), format="jpeg", pil_kwargs={"quality": 85})
    made = file.getvalue()
    return ("image/jpeg", made) if longest > SIDE or len(made) < len(raw) else (mime, raw)


def _decoded(raw: bytes) -> np.ndarray:
    """The picture as float32 (H, W, 3) in [0, 1]; what is transparent is white."""
    read = np.asarray(plt.imread(io.BytesIO(raw)))
    picture = read / np.float32(255) if read.dtype == np.uint8 else read.astype(np.float32)
    if picture.ndim == 2:
        return np.repeat(picture[..., None], 3, axis=2)
    if picture.shape[2] == 2:  # grey with opacity
        picture = picture[..., [0, 0, 0, 1]]
    if picture.shape[2] == 4:
        opacity = picture[..., 3:]
        return picture[..., :3] * opacity + (1 - opacity)
    return picture


def _uri(mime: str, raw: bytes) -> str:
    return f"data:{mime};base64,{base64.b64encode(raw).decode('ascii')}"


def _line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())
