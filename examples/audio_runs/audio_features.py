"""What needs no training: the table's sounds, and numbers that one would compute of them by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray
from scipy.fft import dct

from contrapose_audio.mel import LogMel
from contrapose_audio.modality import Audio
from contrapose_audio.recording import Recording

Array = NDArray[Any]
CEPSTRA = 20


@dataclass(frozen=True)
class Sounds:
    """Recordings, none of them decoded, and the other columns of their table."""

    recordings: Sequence[Recording]
    columns: dict[str, Array]

    def where(self, chosen: Array) -> Sounds:
        """Those of a mask (n,)."""
        kept = [sound for sound, keep in zip(self.recordings, chosen, strict=True) if keep]
        return Sounds(kept, {name: values[chosen] for name, values in self.columns.items()})


@cache
def sounds(file: str, rate: int) -> Sounds:
    """A table of build_audio.py, at a rate in Hz."""
    table, modality = pq.read_table(file), Audio(rate)
    cells = table["audio"].to_pylist()
    return Sounds(
        [modality.load({"audio": cell}, Path(file).parent) for cell in cells],
        {name: np.asarray(table[name]) for name in table.column_names if name != "audio"},
    )


def log_mels(of: Sounds, rate: int) -> list[Array]:
    """Of whole recordings, (mels, frames), by the frames of table.yaml: 25 ms, each 20 ms."""
    made = LogMel({"window": rate // 40, "hop": rate // 50, "fft": 1024 * rate // 16000}, rate)
    found = []
    for sound in of.recordings:
        wave = torch.from_numpy(sound.read())
        missing = made.mel.window - wave.shape[1]
        found.append(made.of(torch.nn.functional.pad(wave, (0, max(missing, 0))))[0].numpy())
    return found


def means(mels: Sequence[Array]) -> Array:
    """The mean log-mel, (n, mels)."""
    return np.stack([mel.mean(axis=1) for mel in mels])


def statistics(mels: Sequence[Array]) -> Array:
    """Of 20 cepstral coefficients (MFCC) their mean, deviation and mean step from frame to frame, (n, 60)."""
    found = []
    for mel in mels:
        cepstra = dct(mel, axis=0, norm="ortho")[:CEPSTRA]
        steps = np.abs(np.diff(cepstra, axis=1, append=cepstra[:, -1:])).mean(axis=1)
        found.append(np.concatenate([cepstra.mean(axis=1), cepstra.std(axis=1), steps]))
    return np.stack(found)
